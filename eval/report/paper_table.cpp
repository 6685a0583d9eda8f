#include "eval/report/paper_table.h"

namespace retrace::eval {

const std::vector<PaperRow>& paper_table() {
  static const std::vector<PaperRow> rows = {
      {"RULER 65,536 avg", "57.10", "61.00", "", "61.80", "", ""},
      {"HELMET 32,768 avg", "61.57", "60.98", "", "62.65", "", ""},
      {"HELMET 65,536 avg", "", "", "", "57.84", "", ""},
      {"HumanEval", "16.46", "34.76", "36.59", "37.20", "humaneval", "pass@1"},
      {"LongCodeBench-32k", "29.38", "34.16", "", "36.46", "", ""},
      {"LongCodeBench-64k", "30.52", "27.37", "31.05", "30.26", "", ""},
      {"BBH", "66.69", "66.27", "", "67.03", "", ""},
      {"MATH", "1.64", "2.18", "3.72", "3.76", "", ""},
      {"GSM-8k", "", "61.94", "61.94", "60.96", "gsm8k", "exact_match"},
      {"APTBench overall", "", "29.02", "30.10", "29.65", "", ""},
  };
  return rows;
}

}  // namespace retrace::eval
