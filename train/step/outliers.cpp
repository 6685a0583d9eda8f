#include "train/step/outliers.h"

#include <cmath>

namespace retrace::train {
namespace {

double score_and_join(double value, std::deque<double>& window) {
  double score = 0;
  if (window.size() == OutlierDetector::kWindow) {
    double sum = 0, squares = 0;
    for (const double x : window) sum += x;
    const double mean = sum / static_cast<double>(window.size());
    for (const double x : window) squares += (x - mean) * (x - mean);
    const double deviation = std::sqrt(squares / static_cast<double>(window.size()));
    score = deviation > 0 ? (value - mean) / deviation : 0;
    window.pop_front();
  }
  window.push_back(value);
  return score;
}

}  // namespace

OutlierDetector::OutlierDetector(const std::vector<double>& losses, const std::vector<double>& norms)
    : losses_(losses.begin(), losses.end()), norms_(norms.begin(), norms.end()) {}

OutlierDetector::Scores OutlierDetector::add(double loss, double norm) {
  Scores scores;
  scores.loss = score_and_join(loss, losses_);
  scores.norm = score_and_join(norm, norms_);
  return scores;
}

}  // namespace retrace::train
