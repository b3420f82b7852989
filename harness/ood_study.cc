#include "harness/ood_study.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "engine/train/fallback_fit.h"
#include "engine/train/match_cost.h"
#include "tasks/ranks.h"

namespace harness {
namespace {

using namespace engine;
using namespace engine::train;

constexpr size_t kMissed =
    20;  // one in so many shifted questions, where false positives are counted
constexpr size_t kDetectors = std::size(kOodDetectors);

// What the networks of one fold know, fitted to its training rows.
struct FoldView {
  std::vector<OodScore> detectors;  // by kOodDetectors
  std::vector<double> prior;
  size_t fixed = 0;
  double thresholds[kDetectors] = {};
};

// One question, scored by the fold that never saw its seed item.
struct Scored {
  const Examples* rows = nullptr;
  int64_t row = 0;
  size_t fold = 0;
  bool shifted = false;
  std::vector<double> p;
  double score[kDetectors] = {};
  int64_t cluster() const { return rows->cluster[static_cast<size_t>(row)]; }
};

class Study {
 public:
  Study(const TrainingData& data, const CrossFit& fit, double lambda, double mu)
      : data_(data), fit_(fit), lambda_(lambda), mu_(mu) {
    fit_folds();
    add(data.examples, false);
    add(data.shifted.examples, true);
    set_thresholds();
    for (const Scored& q : questions_) clusters_.emplace(q.cluster(), clusters_.size());
  }

  OodStudy run() {
    OodStudy out;
    out.lambda = lambda_;
    out.clean = data_.examples.n;
    out.shifted = data_.shifted.examples.n;
    out.left_out = data_.shifted.left_out;
    out.clusters = static_cast<int64_t>(clusters_.size());
    const auto plain = evaluate(0, Fallback::none, lambda_, false);
    out.fallbacks.push_back(
        row_of(0, Fallback::none, {lambda_, mixed_cost(plain), false}, plain, plain));
    std::vector<std::vector<Decided>> runs;
    std::vector<FallbackGain> what;
    for (size_t d = 0; d < kDetectors; ++d) {
      for (const Fallback f : kFallbacks) {
        if (f == Fallback::none) continue;
        const auto matched = match_cost(out.fallbacks[0].cost, [&](double lambda) {
          return mixed_cost(evaluate(d, f, lambda, true));
        });
        if (!matched) {
          out.fallbacks.push_back({kOodDetectors[d], f, false, false, 0, 0, 0, 0, {}});
          continue;
        }
        auto run = evaluate(d, f, matched->lambda, true);
        out.fallbacks.push_back(row_of(d, f, *matched, run, plain));
        if (matched->cheaper) continue;
        runs.push_back(std::move(run));
        what.push_back({kOodDetectors[d], f, {}});
      }
    }
    std::map<std::string, std::vector<size_t>> by_shift;
    for (size_t i = 0; i < questions_.size(); ++i)
      if (questions_[i].shifted) by_shift[shift_of(i)].push_back(i);
    for (const auto& [shift, members] : by_shift)
      out.shifts.push_back(shift_study(shift, members, plain, runs, what));
    return out;
  }

 private:
  // Of one question: cost and regret at the study's lambda.
  struct Decided {
    double cost = 0, regret = 0;
  };

  const std::string& shift_of(size_t i) const {
    return data_.shifted.questions[static_cast<size_t>(questions_[i].row)].shift;
  }

  void fit_folds() {
    const Examples& ex = data_.examples;
    for (size_t f = 0; f < fit_.folds.size(); ++f) {
      const auto& rows = fit_.folds[f].train;
      FoldView view;
      for (const auto d : kOodDetectors) view.detectors.emplace_back(d, ex, rows, model(f));
      view.prior = mean_success(ex, rows);
      view.fixed = best_fixed(ex, rows, lambda_, mu_);
      folds_.push_back(std::move(view));
      for (const int64_t r : fit_.folds[f].test) fold_of_[ex.cluster[static_cast<size_t>(r)]] = f;
    }
  }

  const SuccessModel& model(size_t fold) const { return fit_.fitted[fold].success; }

  void add(const Examples& ex, bool shifted) {
    for (int64_t r = 0; r < ex.n; ++r) {
      Scored q{&ex, r, 0, shifted, {}, {}};
      // A seed item without a clean row was in nobody's training.
      const auto known = fold_of_.find(q.cluster());
      if (known != fold_of_.end()) q.fold = known->second;
      q.p = model(q.fold).p(ex.feature_row(r));
      for (size_t d = 0; d < kDetectors; ++d)
        q.score[d] = folds_[q.fold].detectors[d].of(model(q.fold), ex.feature_row(r));
      questions_.push_back(std::move(q));
    }
  }

  // By the clean questions of the other folds, each scored by its own.
  void set_thresholds() {
    for (size_t f = 0; f < folds_.size(); ++f)
      for (size_t d = 0; d < kDetectors; ++d) {
        std::vector<double> scores;
        for (const Scored& q : questions_)
          if (!q.shifted && q.fold != f) scores.push_back(q.score[d]);
        folds_[f].thresholds[d] = flag_threshold(std::move(scores));
      }
  }

  std::vector<Decided> evaluate(size_t detector, Fallback fallback, double lambda,
                                bool scores) const {
    std::vector<Decided> out;
    for (const Scored& q : questions_) {
      const FoldView& fold = folds_[q.fold];
      const Prospect prospect{q.p,        fold.prior,        fit_.fitted[q.fold].cost,
                              fold.fixed, q.score[detector], fold.thresholds[detector]};
      const auto k = static_cast<int64_t>(decide(fallback, prospect, lambda));
      const Examples& ex = *q.rows;
      uint64_t flops = model_flops(q.fold);
      if (scores) flops += fold.detectors[detector].flops();
      const double own = static_cast<double>(flops) / ex.full_flops[static_cast<size_t>(q.row)];
      double best = -std::numeric_limits<double>::infinity();
      for (int64_t j = 0; j < ex.n_k(); ++j)
        best = std::max(best, ex.reward(q.row, j, lambda_, mu_));
      out.push_back({ex.cost[ex.at(q.row, k)] + own,
                     best - ex.reward(q.row, k, lambda_, mu_) + lambda_ * own});
    }
    return out;
  }

  uint64_t model_flops(size_t fold) const {
    uint64_t flops = 0;
    for (const auto& l : model(fold).net.layers())
      flops += 2 * static_cast<uint64_t>(l.n_in * l.n_out);
    return flops;
  }

  double mean(const std::vector<Decided>& run, bool shifted, double Decided::*what) const {
    double sum = 0;
    int64_t n = 0;
    for (size_t i = 0; i < run.size(); ++i)
      if (questions_[i].shifted == shifted) sum += run[i].*what, ++n;
    return sum / static_cast<double>(n);
  }

  double mixed_cost(const std::vector<Decided>& run) const {
    return (mean(run, false, &Decided::cost) + mean(run, true, &Decided::cost)) / 2;
  }

  FallbackRow row_of(size_t detector, Fallback fallback, const Matched& matched,
                     const std::vector<Decided>& run, const std::vector<Decided>& plain) const {
    FallbackRow row{kOodDetectors[detector],
                    fallback,
                    true,
                    matched.cheaper,
                    matched.lambda,
                    matched.cost,
                    mean(run, false, &Decided::regret),
                    mean(run, true, &Decided::regret),
                    {}};
    // By cluster: saved and number, of clean and of shifted questions.
    std::vector<double> sums(4 * clusters_.size());
    for (size_t i = 0; i < questions_.size(); ++i) {
      double* to =
          &sums[4 * clusters_.at(questions_[i].cluster()) + (questions_[i].shifted ? 2 : 0)];
      to[0] += plain[i].regret - run[i].regret;
      to[1] += 1;
    }
    row.regret_saved =
        tasks::bootstrap_sums(sums, 4, 1, [](std::span<const double> s, std::span<double> out) {
          out[0] = (s[0] / s[1] + s[2] / s[3]) / 2;
        })[0];
    return row;
  }

  ShiftStudy shift_study(const std::string& shift, const std::vector<size_t>& members,
                         const std::vector<Decided>& plain,
                         const std::vector<std::vector<Decided>>& runs,
                         const std::vector<FallbackGain>& what) const {
    ShiftStudy out;
    out.shift = shift;
    out.n = static_cast<int64_t>(members.size());
    std::map<int64_t, size_t> place;
    for (const size_t i : members) place.emplace(questions_[i].cluster(), place.size());
    out.clusters = static_cast<int64_t>(place.size());
    for (const size_t i : members) {
      out.regret += plain[i].regret / static_cast<double>(out.n);
      out.cost += plain[i].cost / static_cast<double>(out.n);
    }
    for (size_t d = 0; d < kDetectors; ++d) out.detections.push_back(detection(d, members));
    out.gains = what;
    for (size_t w = 0; w < what.size(); ++w) {
      std::vector<double> sums(2 * place.size());
      for (const size_t i : members) {
        double* to = &sums[2 * place.at(questions_[i].cluster())];
        to[0] += plain[i].regret - runs[w][i].regret;
        to[1] += 1;
      }
      out.gains[w].regret_saved = tasks::bootstrap_sums(
          sums, 2, 1,
          [](std::span<const double> s, std::span<double> o) { o[0] = s[0] / s[1]; })[0];
    }
    return out;
  }

  Detection detection(size_t d, const std::vector<size_t>& members) const {
    Detection out;
    out.detector = kOodDetectors[d];
    // Scores by seed item: clean ones, then those under the shift.
    std::vector<std::vector<double>> clean(clusters_.size()), moved(clusters_.size());
    std::vector<double> all_clean, all_moved;
    for (const Scored& q : questions_)
      if (!q.shifted) {
        clean[clusters_.at(q.cluster())].push_back(q.score[d]);
        all_clean.push_back(q.score[d]);
      }
    for (const size_t i : members) {
      const Scored& q = questions_[i];
      moved[clusters_.at(q.cluster())].push_back(q.score[d]);
      all_moved.push_back(q.score[d]);
      out.flagged += q.score[d] > folds_[q.fold].thresholds[d];
    }
    out.flagged /= static_cast<double>(members.size());
    const auto area = [&](std::span<const int64_t> drawn) {
      std::vector<double> scores;
      std::vector<bool> positive;
      for (const int64_t c : drawn)
        for (const auto* side : {&clean, &moved})
          for (const double s : (*side)[static_cast<size_t>(c)]) {
            scores.push_back(s);
            positive.push_back(side == &moved);
          }
      return tasks::auroc(scores, positive);
    };
    out.auroc = tasks::bootstrap_draws(static_cast<int64_t>(clusters_.size()), area);
    std::sort(all_moved.begin(), all_moved.end());
    const double bar = all_moved[all_moved.size() / kMissed];  // 95% or more are at it or beyond
    const auto beyond =
        std::count_if(all_clean.begin(), all_clean.end(), [bar](double s) { return s >= bar; });
    out.false_positives = static_cast<double>(beyond) / static_cast<double>(all_clean.size());
    return out;
  }

  const TrainingData& data_;
  const CrossFit& fit_;
  double lambda_, mu_;
  std::vector<FoldView> folds_;
  std::map<int64_t, size_t> fold_of_, clusters_;  // of a seed item; its place in sums
  std::vector<Scored> questions_;
};

}  // namespace

OodStudy study_ood(const TrainingData& data, const CrossFit& fit, double lambda, double mu) {
  return Study(data, fit, lambda, mu).run();
}

}  // namespace harness
