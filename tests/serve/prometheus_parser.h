// A strict parser of Prometheus' text exposition format 0.0.4, written from its description alone: what it takes, a
// server takes. Every family: HELP, TYPE, then all its samples; no sample twice; histograms whole and rising.
#pragma once
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace switchyard::test {

struct ParsedFamily {
  std::string type, help;
  std::map<std::map<std::string, std::string>, double> samples;  // of counters and gauges; of histograms _sum
  std::map<std::map<std::string, std::string>, std::map<double, double>> buckets;  // without le; by le, cumulative
  std::map<std::map<std::string, std::string>, double> counts;
};

class PrometheusParser {
 public:
  // Throws std::runtime_error with the line.
  static std::map<std::string, ParsedFamily> parse(const std::string& text) {
    PrometheusParser p;
    std::size_t begin = 0;
    if (!text.empty() && text.back() != '\n') throw std::runtime_error("the last line has no end");
    while (begin < text.size()) {
      const std::size_t end = text.find('\n', begin);
      p.line_ = text.substr(begin, end - begin);
      p.at_ = 0;
      p.line();
      begin = end + 1;
    }
    p.end_family();
    return p.families_;
  }

 private:
  [[noreturn]] void bad(const std::string& why) const {
    throw std::runtime_error(why + " at " + std::to_string(at_) + " of: " + line_);
  }
  bool here(char c) {
    if (at_ >= line_.size() || line_[at_] != c) return false;
    ++at_;
    return true;
  }
  void must(char c) {
    if (!here(c)) bad(std::string("expected '") + c + "'");
  }
  std::string name(const std::string& others) {
    const std::string letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_" + others;
    const std::size_t begin = at_;
    if (at_ >= line_.size() || letters.find(line_[at_]) == std::string::npos) bad("expected a name");
    while (at_ < line_.size() && (letters + "0123456789").find(line_[at_]) != std::string::npos) ++at_;
    return line_.substr(begin, at_ - begin);
  }
  double number() {
    const std::string text = line_.substr(at_);
    at_ = line_.size();
    if (text == "+Inf") return INFINITY;
    if (text == "-Inf") return -INFINITY;
    if (text == "NaN") return NAN;
    if (text.empty() || text.find_first_not_of("0123456789+-.e") != std::string::npos) bad("no number");
    std::size_t used = 0;
    const double value = std::stod(text, &used);
    if (used != text.size()) bad("no number");
    return value;
  }
  std::string quoted() {
    std::string value;
    must('"');
    while (!here('"')) {
      if (at_ >= line_.size()) bad("no end of a label's value");
      if (!here('\\')) {
        value += line_[at_++];
        continue;
      }
      if (here('n'))
        value += '\n';
      else if (here('\\'))
        value += '\\';
      else if (here('"'))
        value += '"';
      else
        bad("unknown escape");
    }
    return value;
  }

  void line() {
    if (line_.empty()) bad("empty line");
    if (!here('#')) return sample();
    must(' ');
    const std::string word = name("");
    must(' ');
    const std::string of = name(":");
    must(' ');
    const std::string rest = line_.substr(at_);
    if (word == "HELP") {
      end_family();
      if (!families_.try_emplace(of).second) bad("a family twice");
      current_ = of;
      for (std::size_t i = 0; i < rest.size(); ++i)
        if (rest[i] == '\\' && (++i == rest.size() || (rest[i] != 'n' && rest[i] != '\\'))) bad("unknown escape");
      families_[of].help = rest;
    } else if (word == "TYPE") {
      if (of != current_) bad("TYPE of another family than HELP");
      if (!families_[of].type.empty()) bad("TYPE twice");
      if (rest != "counter" && rest != "gauge" && rest != "histogram") bad("unknown type");
      families_[of].type = rest;
    } else {
      bad("neither HELP nor TYPE");
    }
  }

  void sample() {
    const std::string of = name(":");
    std::map<std::string, std::string> labels;
    if (here('{')) {
      do {
        const std::string label = name("");
        must('=');
        if (!labels.emplace(label, quoted()).second) bad("a label twice");
      } while (here(','));
      must('}');
    }
    must(' ');
    const double value = number();
    ParsedFamily& family = families_[current_];
    if (current_.empty() || of.rfind(current_, 0) != 0) bad("a sample outside its family");
    const std::string suffix = of.substr(current_.size());
    if (family.type == "histogram") {
      if (suffix == "_bucket") {
        if (!labels.count("le")) bad("a bucket without le");
        const std::string le = labels["le"];
        labels.erase("le");
        line_ = le;
        at_ = 0;
        auto& buckets = family.buckets[labels];
        const double bound = number();
        if (!buckets.empty() && (buckets.rbegin()->first >= bound || buckets.rbegin()->second > value))
          bad("buckets do not rise");
        buckets[bound] = value;
      } else if (suffix == "_sum" || suffix == "_count") {
        if (!(suffix == "_sum" ? family.samples : family.counts).emplace(labels, value).second) bad("twice");
      } else {
        bad("no sample of a histogram");
      }
    } else {
      if (!suffix.empty() || family.type.empty()) bad("a sample outside its family");
      if (family.type == "counter" && !(value >= 0)) bad("a negative counter");
      if (!family.samples.emplace(labels, value).second) bad("a sample twice");
    }
  }

  void end_family() {
    if (current_.empty()) return;
    const ParsedFamily& family = families_[current_];
    if (family.type.empty()) bad("no TYPE of " + current_);
    if (family.samples.empty()) bad("no sample of " + current_);
    if (family.type == "counter" && !current_.ends_with("_total")) bad("a counter's name ends in _total: " + current_);
    if (family.type != "histogram") return;
    if (family.buckets.size() != family.samples.size() || family.counts.size() != family.samples.size())
      bad("a histogram in parts: " + current_);
    for (const auto& [labels, buckets] : family.buckets)
      if (!family.counts.count(labels) || !std::isinf(buckets.rbegin()->first) ||
          buckets.rbegin()->second != family.counts.at(labels))
        bad("its count is not that of the bucket +Inf: " + current_);
  }

  std::string line_, current_;
  std::size_t at_ = 0;
  std::map<std::string, ParsedFamily> families_;
};

}  // namespace switchyard::test
