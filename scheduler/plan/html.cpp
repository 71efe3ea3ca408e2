#include "scheduler/plan/html.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <span>

#include "scheduler/plan/text.h"

namespace switchyard::scheduler::html {
namespace {

std::string with_unit(double x, std::span<const char* const> units, std::size_t unit) {
  while (unit + 1 < units.size() && std::abs(x) >= 999.5) x /= 1000, ++unit;
  while (unit > 0 && x != 0 && std::abs(x) < 0.9995) x *= 1000, --unit;
  const int decimals = x == std::floor(x) || std::abs(x) >= 99.95 ? 0 : std::abs(x) >= 9.995 ? 1 : 2;
  char text[48];
  std::snprintf(text, sizeof text, "%.*f %s", decimals, x, units[unit]);
  return text;
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += static_cast<unsigned char>(c) < 32 && c != '\n' ? ' ' : c;
    }
  return out;
}

std::string whole(std::int64_t n) { return std::to_string(n); }

std::string duration(double seconds) {
  static constexpr std::array units{"ns", "us", "ms", "s"};
  return with_unit(seconds * 1e3, units, 2);
}
std::string amount(double bytes) {
  static constexpr std::array units{"B", "kB", "MB", "GB", "TB"};
  return with_unit(bytes, units, 0);
}
std::string percentage(double share) { return number(share < 0.0995 ? "%.2f %%" : "%.1f %%", 100 * share); }

const char* const style_sheet = R"(
:root{color-scheme:light dark;--bg:#fff;--ink:#1b1f24;--soft:#59636e;--line:#d1d9e0;--edge:#aab4be;--band:#f3f5f8;--row:#e4e9ef;
--move:#b35900;--bad:#c11f2b;--used:#2373b5;--s0:#e3effa;--s1:#c2ddf4;--s2:#96c5eb;--s3:#63a8df;--s4:#2373b5;--s5:#0d4a85;
--low:#1b1f24;--high:#fff}
@media(prefers-color-scheme:dark){:root{--bg:#0f1419;--ink:#e3e8ed;--soft:#98a3ae;--line:#36404a;--edge:#56626e;--band:#161c23;--row:#212a34;
--move:#f0a04b;--bad:#ff7b72;--used:#4d97d9;--s0:#14283c;--s1:#183a59;--s2:#1d5079;--s3:#28699f;--s4:#6db0e8;--s5:#b3d8f8;
--low:#e3e8ed;--high:#0f1419}}
body{background:var(--bg);color:var(--ink);font:14px/1.45 system-ui,sans-serif;margin:24px;width:max-content;min-width:calc(100% - 48px)}
h1{font-size:20px;margin:0 0 4px}h2{font-size:16px;margin:28px 0 8px}p{margin:6px 0;max-width:1100px}
.soft,small,.tile span{color:var(--soft)}.bad{color:var(--bad);font-weight:600}
.tiles{display:flex;flex-wrap:wrap;gap:10px;margin:12px 0}
.tile{border:1px solid var(--line);border-radius:6px;padding:8px 14px;display:flex;flex-direction:column}.tile b{font-size:22px;font-weight:600}
.legend i{font-style:normal;font-size:12px;padding:1px 6px;border-radius:2px}
.legend .s0{background:var(--s0);color:var(--low)}.legend .s1{background:var(--s1);color:var(--low)}
.legend .s2{background:var(--s2);color:var(--low)}.legend .s3{background:var(--s3);color:var(--low)}
.legend .s4{background:var(--s4);color:var(--high)}.legend .s5{background:var(--s5);color:var(--high)}
.legend .second{border:1px dashed var(--edge);margin-left:12px}.legend .moves{color:var(--move);font-weight:700}
.legend .refused{background:repeating-linear-gradient(45deg,transparent 0 4px,var(--line) 4px 5px);color:var(--soft)}
.top{position:sticky;top:0;background:var(--bg);border-bottom:1px solid var(--line);z-index:1}
svg{display:block;font:11px system-ui,sans-serif;fill:var(--ink)}text{text-anchor:middle}
text.name{font-size:13px;font-weight:600}text.sum,text.second-text,text.refused-text{fill:var(--soft)}
text.left{text-anchor:start;fill:var(--move);white-space:pre}text.unit{text-anchor:end;font-family:ui-monospace,monospace}
rect.s0{fill:var(--s0)}rect.s1{fill:var(--s1)}rect.s2{fill:var(--s2)}rect.s3{fill:var(--s3)}rect.s4{fill:var(--s4)}rect.s5{fill:var(--s5)}
.on-s0,.on-s1,.on-s2,.on-s3{fill:var(--low)}.on-s4,.on-s5{fill:var(--high)}
rect.second{fill:none;stroke:var(--edge);stroke-dasharray:3 2}rect.refused{fill:url(#hatch)}.hatch{stroke:var(--line)}
.band0{fill:none;pointer-events:all}.band1{fill:var(--band)}.row:hover>rect:first-child{fill:var(--row)}
.move{fill:none;stroke:var(--move);stroke-width:1.3}.tip{fill:var(--move)}.host{fill:var(--soft)}
.pool{display:grid;grid-template-columns:220px 436px auto;align-items:center;margin:4px 0}
.all{fill:var(--row)}.used{fill:var(--used)}.over{fill:var(--bad)}
table{border-collapse:collapse;font-size:12px;margin:8px 0 20px}caption{text-align:left;font-weight:600;padding:4px 0}
th,td{text-align:left;padding:2px 10px 2px 0;border-bottom:1px solid var(--line);vertical-align:top;max-width:520px}
td span{text-decoration:underline dotted}li{max-width:1100px;font-size:12px}
)";

}  // namespace switchyard::scheduler::html
