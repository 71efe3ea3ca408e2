// A plan as one HTML page that needs nothing else: units down, devices across, the moves between them; then
// page_tables.
#include <algorithm>
#include <map>

#include "scheduler/plan/html.h"
#include "scheduler/plan/text.h"

namespace switchyard::scheduler {
using namespace html;
namespace {

// Sizes in pixels.
constexpr int row_height = 18, cell_height = 15, cell_width = 144, gap = 18, host_width = 48, move_width = 250,
              header_height = 46;
constexpr int share_steps = 6;

class Picture {
 public:
  explicit Picture(const Plan& plan) : plan_(plan) {
    // The devices in use come first, so that moves are short.
    for (const PlannedLayer& l : plan.layers) column(l.device);
    for (const PlannedLayer& l : plan.layers)
      if (l.runner_up) column(l.runner_up->device);
    for (const PlannedLayer& l : plan.layers)
      for (const Refusal& r : l.refused) column(r.device);
    for (const PoolUse& p : plan.pools)
      if (p.pool != probes::host_pool) column(p.pool);  // named by a device
    std::size_t longest = 6;
    for (const PlannedLayer& l : plan.layers) {
      longest = std::max(longest, l.layer.size());
      total_ += l.seconds;
    }
    for (const Move& m : plan.moves) total_ += m.seconds, moving_ += m.seconds;
    for (const PlannedLayer& l : plan.layers) largest_ = std::max(largest_, share(l.seconds));
    label_width_ = static_cast<int>(std::min<std::size_t>(longest, 40)) * 7 + 12;
  }

  std::string page() const {
    const std::string title = escaped(plan_.model) + ": " + escaped(plan_.mode) + ", " + whole(plan_.sessions) +
                              (plan_.sessions == 1 ? " session of " : " sessions of ") + whole(plan_.context) +
                              " tokens";
    return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" "
           "content=\"width=device-width\"/><title>" +
           title + "</title>\n<style>" + style_sheet + "</style></head>\n<body>\n<h1>" + title + "</h1>\n" + head() +
           legend() + devices_row() + matrix() + memory_bars(plan_) + tables(plan_, total_) + "</body></html>\n";
  }

 private:
  std::size_t column(const std::string& device) {
    auto [at, fresh] = columns_.try_emplace(device, devices_.size());
    if (fresh) devices_.push_back(device);
    return at->second;
  }
  double share(double seconds) const { return total_ > 0 ? seconds / total_ : 0; }
  const char* step_name() const { return plan_.mode == "ttft" ? "prompt" : "step"; }

  // Left edge of a device's column; of the host's for an empty name.
  int x_of(const std::string& device) const {
    if (device.empty()) return label_width_;
    return label_width_ + host_width + static_cast<int>(columns_.at(device)) * (cell_width + gap);
  }
  int device_end() const { return label_width_ + host_width + static_cast<int>(devices_.size()) * (cell_width + gap); }
  int width() const { return device_end() + move_width; }
  // Row 0 is where the tokens come from, row 1 the first unit.
  static int y_of(std::size_t row) { return static_cast<int>(row) * row_height; }

  std::string svg(int height, const std::string& attributes, const std::string& inside) const {
    return "<svg width=\"" + whole(width()) + "\" height=\"" + whole(height) + "\" " + attributes + ">\n" + inside +
           "</svg>\n";
  }
  static std::string box(const std::string& kind, int x, int y) {
    return "<rect class=\"" + kind + "\" x=\"" + whole(x) + "\" y=\"" + whole(y + (row_height - cell_height) / 2) +
           "\" width=\"" + whole(cell_width) + "\" height=\"" + whole(cell_height) + "\" rx=\"2\"/>";
  }
  static std::string words(const std::string& kind, int x, int y, const std::string& text) {
    return "<text class=\"" + kind + "\" x=\"" + whole(x) + "\" y=\"" + whole(y + 13) + "\">" + escaped(text) +
           "</text>";
  }
  static std::string hover(const std::string& inside, const std::string& text) {
    return "<g><title>" + escaped(text) + "</title>" + inside + "</g>\n";
  }

  std::string head() const {
    auto tile = [](const std::string& name, const std::string& value, const std::string& note) {
      return "<div class=\"tile\"><span>" + name + "</span><b>" + value + "</b><span>" + note + "</span></div>\n";
    };
    std::string text = "<p class=\"soft\">machine " + escaped(plan_.machine) + ", " +
                       number("%.0f", static_cast<double>(plan_.layers.size())) + " units, " +
                       amount(static_cast<double>(plan_.total_bytes)) + " in all pools</p>\n";
    if (!plan_.fits) text += "<p class=\"bad\">Does not fit: " + escaped(plan_.shortage) + "</p>\n";
    text += "<div class=\"tiles\">\n" +
            tile("predicted step",
                 duration(plan_.step_seconds) + (plan_.step_error ? " &plusmn; " + percentage(*plan_.step_error) : ""),
                 whole(plan_.step_rows) + (plan_.step_rows == 1 ? " row at " : " rows at ") + whole(plan_.step_past) +
                     " tokens") +
            (plan_.groups > 1 ? tile("a round", duration(plan_.round_seconds),
                                     "of all sessions, " + whole(plan_.groups) + " groups in flight")
                              : "") +
            tile("speed", number("%.4g", plan_.tokens_per_second), "tokens/s") +
            tile("prefill", duration(plan_.prefill_seconds), "a prompt of " + whole(plan_.prompt)) +
            (plan_.step_joules ? tile("energy", number("%.3g J", *plan_.step_joules), "a step") : "");
    const std::string bound = plan_.mode == "memory"   ? number("%.4g of the pools", plan_.objective_bound)
                              : plan_.mode == "energy" ? number("%.3g J", plan_.objective_bound)
                                                       : duration(plan_.objective_bound);
    if (plan_.fits)
      text +=
          tile("gap to the best", plan_.optimal ? "none" : "&le; " + percentage(plan_.gap),
               plan_.optimal ? "proven for these estimates" : "for these estimates; no plan takes less than " + bound);
    text += "</div>\n";
    for (const More& m : plan_.better_with)
      text += "<p>With " + amount(static_cast<double>(m.bytes)) + " more in " + escaped(m.pool) + ": " +
              percentage(m.faster) + " faster.</p>\n";
    std::map<std::string, int> how;
    for (const PlannedLayer& l : plan_.layers) ++how[l.how];
    text += "<p class=\"soft\">Times of the units:";
    for (const auto& [source, n] : how)
      text += " " + whole(n) + " " + escaped(source) + (source == how.rbegin()->first ? "" : ",");
    return text + ".</p>\n";
  }

  std::string legend() const {
    std::string text = "<p class=\"legend\">Share of the " + std::string(step_name()) + ", up to";
    for (int i = 0; i < share_steps; ++i)
      text += " <i class=\"s" + whole(i) + "\">" + percentage(largest_ * edge(i)) + "</i>";
    return text +
           " <i class=\"second\">runner-up</i> <i class=\"refused\">refused</i> <i class=\"open\">&middot;</i> "
           "possible, "
           "but neither <i class=\"moves\">&rarr;</i> move of hidden rows. Point at a cell for the reason.</p>\n";
  }

  std::string devices_row() const {
    std::string text;
    for (const std::string& device : devices_) {
      int n = 0;
      double seconds = 0, bytes = 0;
      for (const PlannedLayer& l : plan_.layers)
        if (l.device == device) ++n, seconds += l.seconds, bytes += static_cast<double>(l.bytes);
      const int x = x_of(device) + cell_width / 2;
      text += words("name", x, 4, device) +
              words("sum", x, 21,
                    n ? whole(n) + (n == 1 ? " unit, " : " units, ") + duration(seconds) + ", " + amount(bytes)
                      : "unused") +
              "\n";
    }
    text += words("sum", label_width_ + 20, 21, "host") +
            words("left", device_end(), 21,
                  whole(static_cast<std::int64_t>(plan_.moves.size())) + " moves, " + duration(moving_)) +
            "\n";
    return "<div class=\"top\">" + svg(header_height, "role=\"img\" aria-label=\"devices\"", text) + "</div>\n";
  }

  // Of the largest share, where a shade ends: by squares, so that one large unit leaves the others apart.
  static double edge(int shade) { return (shade + 1.0) * (shade + 1.0) / (share_steps * share_steps); }
  int shade(double seconds) const {
    int i = 0;
    while (i + 1 < share_steps && share(seconds) > largest_ * edge(i)) ++i;
    return i;
  }

  std::string cells(const PlannedLayer& l, int y) const {
    std::string text;
    for (const std::string& device : devices_) {
      const int x = x_of(device), middle = x + cell_width / 2;
      const std::string where = l.layer + " on " + device + ": ";
      std::string codes, reasons;
      for (const Refusal& r : l.refused)
        if (r.device == device) {
          if (codes.find(r.code) == std::string::npos) codes += (codes.empty() ? "" : ", ") + r.code;
          reasons += "\n" + r.code + ": " + r.detail;
        }
      if (device == l.device) {
        const std::string shade_class = "s" + whole(shade(l.seconds));
        text += hover(box(shade_class, x, y) + words("on-" + shade_class, middle, y,
                                                     duration(l.seconds) + ", " + amount(static_cast<double>(l.bytes))),
                      where + duration(l.seconds) + ", " + percentage(share(l.seconds)) + " of the " + step_name() +
                          ", " + amount(static_cast<double>(l.bytes)) + "\n" + l.how +
                          (l.detail.empty() ? "" : " (" + l.detail + ")"));
      } else if (l.runner_up && l.runner_up->device == device) {
        text += hover(box("second", x, y) + words("second-text", middle, y, duration(l.runner_up->seconds)),
                      where + "runner-up, " + duration(l.runner_up->seconds) + "\n" + l.runner_up->why);
      } else if (!codes.empty()) {
        text += hover(box("refused", x, y) + words("refused-text", middle, y, codes), where + "refused" + reasons);
      } else {
        text += words("second-text", middle, y, "\u00b7");
      }
    }
    return text;
  }

  // From the row above `unit` to its row.
  std::string arrow(const Move& m, std::size_t unit) const {
    const int from = x_of(m.from), to = x_of(m.to), y = y_of(unit) + row_height / 2;
    const bool right = to > from;
    auto end = [&](const std::string& device, int x, bool side) {
      return device.empty() ? x + 20 + (side ? 4 : -4) : x + (side ? cell_width : 0);
    };
    const int x1 = end(m.from, from, right), x2 = end(m.to, to, !right), middle = (x1 + x2) / 2;
    const std::string text =
        host_or(m.from) + " \u2192 " + host_or(m.to) + "  " + duration(m.seconds) + ", " + amount(m.bytes);
    return hover("<path class=\"move\" marker-end=\"url(#tip)\" d=\"M" + whole(x1) + " " + whole(y) + " C" +
                     whole(middle) + " " + whole(y) + " " + whole(middle) + " " + whole(y + row_height) + " " +
                     whole(x2) + " " + whole(y + row_height) + "\"/>" +
                     words("left", device_end(), y_of(unit) + row_height / 2, text),
                 "before " + m.before + ": " + text + " (" + m.how + ")");
  }

  std::string matrix() const {
    std::string text =
        "<defs><marker id=\"tip\" viewBox=\"0 0 6 6\" refX=\"5\" refY=\"3\" markerWidth=\"6\" markerHeight=\"6\" "
        "orient=\"auto\"><path class=\"tip\" d=\"M0 0 L6 3 L0 6 z\"/></marker>"
        "<pattern id=\"hatch\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" "
        "patternTransform=\"rotate(45)\"><path class=\"hatch\" d=\"M0 0 V5\"/></pattern></defs>\n";
    const std::size_t n = plan_.layers.size();
    auto layer = [&](std::size_t u) { return plan_.layers[u].layer.substr(0, plan_.layers[u].layer.find(" (")); };
    for (std::size_t u = 0, band = 0; u < n; ++u) {
      if (u && layer(u) != layer(u - 1)) ++band;
      text += "<g class=\"row\"><rect class=\"band" + whole(static_cast<std::int64_t>(band % 2)) + "\" x=\"0\" y=\"" +
              whole(y_of(u + 1)) + "\" width=\"" + whole(width()) + "\" height=\"" + whole(row_height) + "\"/>" +
              words("unit", label_width_ - 6, y_of(u + 1), plan_.layers[u].layer) + "\n" +
              cells(plan_.layers[u], y_of(u + 1)) + "</g>\n";
    }
    auto host = [&](std::size_t row, const char* what) {
      return "<circle class=\"host\" cx=\"" + whole(label_width_ + 20) + "\" cy=\"" +
             whole(y_of(row) + row_height / 2) + "\" r=\"4\"/>" + words("unit", label_width_ - 6, y_of(row), what) +
             "\n";
    };
    text += host(0, "tokens") + host(n + 1, "logits");
    std::size_t at = 0;
    for (const Move& m : plan_.moves) {
      while (at < n && plan_.layers[at].layer != m.before) ++at;
      if (known(m)) text += arrow(m, at);
    }
    return svg(y_of(n + 2), "role=\"img\" aria-label=\"units by devices; the tables below hold the same\"", text);
  }
  bool known(const Move& m) const {
    return (m.from.empty() || columns_.count(m.from)) && (m.to.empty() || columns_.count(m.to));
  }

  const Plan& plan_;
  std::vector<std::string> devices_;
  std::map<std::string, std::size_t> columns_;
  double total_ = 0, moving_ = 0, largest_ = 0;
  int label_width_ = 0;
};

}  // namespace

std::string to_html(const Plan& plan) { return Picture(plan).page(); }

}  // namespace switchyard::scheduler
