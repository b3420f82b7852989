#include "kernels/expert_ffn.h"

#include <algorithm>
#include <cassert>

#include "kernels/cpu/panel.h"
#include "kernels/matmul.h"

namespace kernels {
namespace {

int64_t row_blocks(int64_t rows) { return (rows + kTaskRows - 1) / kTaskRows; }

// Runs body(group index, panel, first row, rows) for every (row block, panel) of every group.
template <class Panels, class Body>
void for_tasks(std::span<const ExpertGroup> groups, const Panels& panels,
               std::vector<int64_t>& task_at, ThreadPool& pool, const Body& body) {
  int64_t n_tasks = 0;
  task_at.clear();
  for (const ExpertGroup& g : groups) {
    task_at.push_back(n_tasks);
    n_tasks += row_blocks(g.rows) * panels(g);
  }
  pool.parallel_for(n_tasks, [&](int64_t task, int) {
    // The last group that starts here or before; groups without rows start where the next one does.
    const auto next = std::upper_bound(task_at.begin(), task_at.end(), task);
    const auto i = static_cast<size_t>(next - task_at.begin()) - 1;
    const ExpertGroup& g = groups[i];
    const int64_t at = task - task_at[i], n_panels = panels(g);
    const int64_t row0 = at / n_panels * kTaskRows;
    body(i, at % n_panels, row0, std::min(kTaskRows, g.rows - row0));
  });
}

}  // namespace

Cost expert_ffn_cost(std::span<const ExpertGroup> groups) {
  Cost sum;
  for (const ExpertGroup& g : groups) {
    if (g.rows == 0) continue;
    for (const PackedMatrix* w : {g.gate, g.up, g.down}) {
      sum += matmul_cost(g.rows, w->n_out(), w->n_in(), w->dtype());
    }
  }
  return sum;
}

void expert_ffn(std::span<const ExpertGroup> groups, ExpertScratch& scratch, ThreadPool& pool) {
  int64_t floats = 0;
  scratch.hidden_at.clear();
  for (const ExpertGroup& g : groups) {
    assert(g.gate->n_out() == g.up->n_out() && g.down->n_in() == g.gate->n_out());
    assert(g.gate->n_in() == g.up->n_in() && g.down->n_out() == g.gate->n_in());
    scratch.hidden_at.push_back(floats);
    floats += g.rows * g.gate->n_out();
  }
  if (static_cast<int64_t>(scratch.hidden.size()) < floats) scratch.hidden.resize(floats);
  float* const hidden = scratch.hidden.data();
  const std::vector<int64_t>& hidden_at = scratch.hidden_at;
  pool.launched(OpKind::matmul) += expert_ffn_cost(groups);

  for_tasks(
      groups, [](const ExpertGroup& g) { return g.gate->n_panels(); }, scratch.task_at, pool,
      [&](size_t i, int64_t panel, int64_t row0, int64_t rows) {
        const ExpertGroup& g = groups[i];
        const int64_t d_model = g.gate->n_in(), width = g.gate->n_out();
        const float* x = g.x + row0 * d_model;
        alignas(64) float gate[kTaskRows * kPanelRows];
        alignas(64) float up[kTaskRows * kPanelRows];
        panel_product(*g.gate, panel, x, d_model, rows, gate);
        panel_product(*g.up, panel, x, d_model, rows, up);
        float* h = hidden + hidden_at[i] + row0 * width + panel * kPanelRows;
        for (int64_t r = 0; r < rows; ++r) {
          swiglu_row(gate + r * kPanelRows, up + r * kPanelRows, panel_columns(*g.gate, panel),
                     h + r * width);
        }
      });
  for_tasks(
      groups, [](const ExpertGroup& g) { return g.down->n_panels(); }, scratch.task_at, pool,
      [&](size_t i, int64_t panel, int64_t row0, int64_t rows) {
        const ExpertGroup& g = groups[i];
        const int64_t d_model = g.down->n_out(), width = g.down->n_in();
        alignas(64) float c[kTaskRows * kPanelRows];
        panel_product(*g.down, panel, hidden + hidden_at[i] + row0 * width, width, rows, c);
        float* y = g.y + row0 * d_model + panel * kPanelRows;
        for (int64_t r = 0; r < rows; ++r) {
          std::copy_n(c + r * kPanelRows, panel_columns(*g.down, panel), y + r * d_model);
        }
      });
}

}  // namespace kernels
