// How far a step's loss and gradient norm lie above those of the steps before it, in standard deviations
// (llm.c's outlier detector), so that all ranks can leave such a step out alike. The past is part of a
// checkpoint.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

namespace retrace::train {

class OutlierDetector {
 public:
  static constexpr size_t kWindow = 128;
  OutlierDetector(const std::vector<double>& losses, const std::vector<double>& norms);

  struct Scores {
    double loss = 0, norm = 0;  // 0 until the window is full
  };
  // Scores of a step of finite values, which then joins the window, outlier or not.
  Scores add(double loss, double norm);
  std::vector<double> losses() const { return {losses_.begin(), losses_.end()}; }
  std::vector<double> norms() const { return {norms_.begin(), norms_.end()}; }

 private:
  std::deque<double> losses_, norms_;
};

}  // namespace retrace::train
