// Charts as inline SVG: no script, colours from CSS variables, so that they follow light and dark.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace retrace::eval {

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;  // non-finite points are left out
};

struct Chart {
  std::string title, x_label, y_label;
  std::vector<Series> series;
  bool markers = false;    // a dot on every point
  bool from_zero = false;  // the y axis starts at 0
};

// A line chart; "" if no series has a point. x counts something: only whole numbers are marked.
std::string line_chart(const Chart& chart);

struct Bar {
  std::string name;
  std::vector<std::pair<std::string, double>> parts;  // stacked, in order
};
// Horizontal stacked bars with values printed at their ends; `unit` follows the value.
std::string bar_chart(const std::string& title, const std::vector<Bar>& bars, const std::string& unit);

// Round tick positions that cover [low, high], about `count` of them.
std::vector<double> ticks(double low, double high, int count);

}  // namespace retrace::eval
