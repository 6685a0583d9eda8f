#include "eval/report/chart.h"

#include <algorithm>
#include <cmath>

#include "core/log.h"
#include "core/text.h"

namespace retrace::eval {
namespace {

constexpr double kWidth = 640, kHeight = 260, kLeft = 62, kRight = 14, kTop = 30, kBottom = 42;
constexpr size_t kMaxPoints = 600;  // more are thinned to the mean of equal runs
constexpr int kColours = 8;

std::string number(double value) {
  const double magnitude = std::fabs(value);
  if (magnitude != 0 && (magnitude >= 1e6 || magnitude < 1e-3)) return fmt::format("{:.1e}", value);
  if (magnitude >= 1e4) return format_count(value);
  return fmt::format("{:.5g}", value);
}

std::vector<std::pair<double, double>> thin(const std::vector<std::pair<double, double>>& all) {
  std::vector<std::pair<double, double>> points;
  for (const auto& p : all)
    if (std::isfinite(p.first) && std::isfinite(p.second)) points.push_back(p);
  if (points.size() <= kMaxPoints) return points;
  std::vector<std::pair<double, double>> out;
  const size_t run = (points.size() + kMaxPoints - 1) / kMaxPoints;
  for (size_t begin = 0; begin < points.size(); begin += run) {
    const size_t end = std::min(points.size(), begin + run);
    double x = 0, y = 0;
    for (size_t i = begin; i < end; ++i) x += points[i].first, y += points[i].second;
    const double n = static_cast<double>(end - begin);
    out.emplace_back(x / n, y / n);
  }
  return out;
}

}  // namespace

std::vector<double> ticks(double low, double high, int count) {
  if (!(high > low)) high = low + (low == 0 ? 1 : std::fabs(low) * 0.1);
  const double raw = (high - low) / count, power = std::pow(10, std::floor(std::log10(raw)));
  double step = power;
  for (double factor : {1.0, 2.0, 2.5, 5.0, 10.0})
    if (power * factor >= raw * 0.999) {
      step = power * factor;
      break;
    }
  std::vector<double> out;
  for (double at = std::floor(low / step) * step; at < high + step * 0.999; at += step)
    out.push_back(std::fabs(at) < step * 1e-9 ? 0 : at);
  return out;
}

std::string line_chart(const Chart& chart) {
  std::vector<Series> series;
  double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
  for (const auto& s : chart.series) {
    series.push_back({s.name, thin(s.points)});
    for (const auto& [x, y] : series.back().points) {
      x_low = std::min(x_low, x), x_high = std::max(x_high, x);
      y_low = std::min(y_low, y), y_high = std::max(y_high, y);
    }
  }
  if (!std::isfinite(x_low)) return "";
  if (chart.from_zero) y_low = std::min(0.0, y_low);
  const auto y_ticks = ticks(y_low, y_high, 5);
  auto x_ticks = ticks(x_low, x_high, 6);
  std::erase_if(x_ticks, [](double x) { return x != std::round(x); });
  y_low = y_ticks.front(), y_high = y_ticks.back();
  if (x_high <= x_low) x_low -= 0.5, x_high += 0.5;
  const double plot_width = kWidth - kLeft - kRight, plot_height = kHeight - kTop - kBottom;
  auto at_x = [&](double x) { return kLeft + (x - x_low) / (x_high - x_low) * plot_width; };
  auto at_y = [&](double y) { return kTop + (1 - (y - y_low) / (y_high - y_low)) * plot_height; };

  std::string out = fmt::format(
      "<figure><svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\"><text class=\"title\" x=\"{}\" "
      "y=\"18\">{}</text>",
      kWidth, kHeight, html_escape(chart.title), kLeft, html_escape(chart.title));
  for (double y : y_ticks)
    out += fmt::format(
        "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/><text class=\"tick\" x=\"{}\" "
        "y=\"{:.1f}\" "
        "text-anchor=\"end\">{}</text>",
        kLeft, kWidth - kRight, at_y(y), at_y(y), kLeft - 6, at_y(y) + 4, number(y));
  for (double x : x_ticks)
    if (x >= x_low && x <= x_high)
      out += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                         at_x(x), kHeight - kBottom + 16, number(x));
  out += fmt::format("<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                     kLeft + plot_width / 2, kHeight - 8, html_escape(chart.x_label));
  out += fmt::format(
      "<text class=\"tick\" x=\"14\" y=\"{}\" text-anchor=\"middle\" transform=\"rotate(-90 14 "
      "{})\">{}</text>",
      kTop + plot_height / 2, kTop + plot_height / 2, html_escape(chart.y_label));
  for (size_t i = 0; i < series.size(); ++i) {
    std::string path;
    for (const auto& [x, y] : series[i].points) path += fmt::format("{:.1f},{:.1f} ", at_x(x), at_y(y));
    const int colour = static_cast<int>(i) % kColours;
    if (series[i].points.size() > 1)
      out += fmt::format("<polyline class=\"line c{}\" points=\"{}\"/>", colour, path);
    if (chart.markers || series[i].points.size() == 1)
      for (const auto& [x, y] : series[i].points)
        out += fmt::format(
            "<circle class=\"dot c{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\"><title>{}: {} at "
            "{}</title></circle>",
            colour, at_x(x), at_y(y), html_escape(series[i].name), number(y), number(x));
  }
  out += "</svg><figcaption>";
  for (size_t i = 0; i < series.size(); ++i)
    if (!series[i].points.empty())
      out += fmt::format("<span class=\"key\"><i class=\"c{}\"></i>{}</span>", i % kColours,
                         html_escape(series[i].name));
  return out + "</figcaption></figure>\n";
}

std::string bar_chart(const std::string& title, const std::vector<Bar>& bars, const std::string& unit) {
  double longest = 0;
  std::vector<std::string> names;
  for (const auto& bar : bars) {
    double total = 0;
    for (const auto& [name, value] : bar.parts) {
      total += value;
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    longest = std::max(longest, total);
  }
  if (longest <= 0) return "";
  constexpr double kRow = 26, kNames = 150, kValues = 90;
  const double height = kTop + kRow * static_cast<double>(bars.size()) + 6,
               scale = (kWidth - kNames - kValues) / longest;
  std::string out = fmt::format(
      "<figure><svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\"><text class=\"title\" x=\"0\" "
      "y=\"18\">{}</text>",
      kWidth, height, html_escape(title), html_escape(title));
  double y = kTop;
  for (const auto& bar : bars) {
    out += fmt::format("<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", kNames - 8,
                       y + 15, html_escape(bar.name));
    double x = kNames, total = 0;
    for (const auto& [name, value] : bar.parts) {
      const auto colour = std::find(names.begin(), names.end(), name) - names.begin();
      out += fmt::format(
          "<rect class=\"c{}\" x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"18\"><title>{}: {} "
          "{}</title></rect>",
          colour % kColours, x, y, value * scale, html_escape(name), number(value), html_escape(unit));
      x += value * scale;
      total += value;
    }
    out += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{}\">{} {}</text>", x + 6, y + 14,
                       number(total), html_escape(unit));
    y += kRow;
  }
  out += "</svg><figcaption>";
  if (names.size() > 1)
    for (size_t i = 0; i < names.size(); ++i)
      out += fmt::format("<span class=\"key\"><i class=\"c{}\"></i>{}</span>", i % kColours,
                         html_escape(names[i]));
  return out + "</figcaption></figure>\n";
}

}  // namespace retrace::eval
