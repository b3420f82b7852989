#include "engine/train/export.h"

#include <cassert>

namespace engine::train {
namespace {

using Linear = PredictorContent::Linear;

Linear zeros(int64_t n_out, int64_t n_in) {
  return {n_out, n_in, std::vector<float>(static_cast<size_t>(n_out * n_in)),
          std::vector<float>(static_cast<size_t>(n_out))};
}

// Layer `i` of net, written into rows from `row`, columns from `column` of `to`; outputs
// combined by `basis` (one output of `to` = sum over b of basis[b] * output b * n + o).
void place(const Mlp& net, size_t i, std::span<const double> basis, int64_t row, int64_t column,
           Linear* to) {
  const auto& l = net.layers()[i];
  const auto& v = net.parameters();
  const int64_t n = l.n_out / static_cast<int64_t>(basis.size());
  for (int64_t o = 0; o < n; ++o) {
    double bias = 0;
    for (size_t b = 0; b < basis.size(); ++b)
      bias += basis[b] * v[l.bias + b * static_cast<size_t>(n) + static_cast<size_t>(o)];
    to->bias[static_cast<size_t>(row + o)] = static_cast<float>(bias);
    for (int64_t j = 0; j < l.n_in; ++j) {
      double w = 0;
      for (size_t b = 0; b < basis.size(); ++b)
        w += basis[b] *
             v[l.weight + static_cast<size_t>(j * l.n_out + o) + b * static_cast<size_t>(n)];
      to->weight[static_cast<size_t>((row + o) * to->n_in + column + j)] = static_cast<float>(w);
    }
  }
}

}  // namespace

PredictorContent export_predictor(const Fitted& f, std::span<const int32_t> grid, double lambda) {
  PredictorContent c;
  c.grid.assign(grid.begin(), grid.end());
  c.feature_mean.assign(f.success.input.mean.begin(), f.success.input.mean.end());
  c.feature_scale.assign(f.success.input.scale.begin(), f.success.input.scale.end());
  c.ordinal = f.success.head == Head::ordinal;
  if (!f.policy) c.plug_in = {lambda, f.cost};

  const auto n_k = static_cast<int64_t>(grid.size());
  const double one[] = {1.0};
  std::vector<const Mlp*> nets{&f.success.net};
  if (f.policy) nets.push_back(&f.policy->net);
  int64_t width = f.success.net.n_in();
  for (size_t i = 0; i + 1 < nets[0]->layers().size(); ++i) {
    int64_t n_out = 0;
    for (const Mlp* net : nets) n_out += net->layers()[i].n_out;
    Linear& l = c.hidden.emplace_back(zeros(n_out, width));
    int64_t row = 0, column = 0;
    for (const Mlp* net : nets) {
      place(*net, i, one, row, column, &l);
      row += net->layers()[i].n_out;
      if (i > 0) column += net->layers()[i].n_in;  // all read the same features
    }
    width = n_out;
  }
  const size_t last = nets[0]->layers().size() - 1;
  c.p_k = zeros(n_k, width);
  place(*nets[0], last, one, 0, 0, &*c.p_k);
  if (f.policy) {
    c.policy = zeros(n_k, width);
    place(*nets[1], last, f.policy->basis(lambda), 0, last == 0 ? 0 : nets[0]->layers()[last].n_in,
          &*c.policy);
  }
  return c;
}

}  // namespace engine::train
