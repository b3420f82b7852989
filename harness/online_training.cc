#include "harness/online_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/train/comparators.h"
#include "engine/train/export.h"
#include "engine/train/reinforce.h"
#include "engine/train/router_learner.h"
#include "harness/exit_code.h"
#include "harness/progress.h"

namespace harness {
namespace {

using namespace engine::train;

enum Use : uint64_t {
  kHeldOut = 200,
  kPassOrder = 201,
  kRouterDraws = 202
};  // of the seed, apart from trainer's

struct Parts {
  std::vector<int64_t> train, held_out;  // rows
};

Parts part_questions(const Examples& ex, double share, uint64_t seed) {
  std::vector<int64_t> items = ex.cluster;
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
  const auto n_out = static_cast<size_t>(std::lround(share * static_cast<double>(items.size())));
  if (n_out < 1 || n_out >= items.size())
    throw UsageError(fmt::format(
        "--held-out {}: of {} seed items that keeps {} to judge by and {} to learn from", share,
        items.size(), n_out, items.size() - n_out));
  Random random(derived_seed(seed, kHeldOut));
  random.shuffle(std::span(items));
  const std::set<int64_t> out(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(n_out));
  Parts parts;
  for (int64_t r = 0; r < ex.n; ++r)
    (out.contains(ex.cluster[static_cast<size_t>(r)]) ? parts.held_out : parts.train).push_back(r);
  return parts;
}

// The rows of the bank with what every k came to.
std::optional<Examples> judged_examples(QuestionBank& bank, std::span<const int64_t> rows,
                                        Progress& progress, const std::atomic<bool>& stop) {
  const Examples& all = bank.examples();
  Examples ex;
  ex.grid = all.grid;
  ex.n_features = all.n_features;
  for (const int64_t r : rows) {
    std::vector<QuestionBank::Asked> asked;
    for (size_t k = 0; k < ex.grid.size(); ++k) asked.push_back({r, k});
    const auto replies = bank.ask(asked, stop);
    if (!replies) return std::nullopt;
    progress.step(static_cast<int64_t>(asked.size()), "judging");
    const auto x = all.feature_row(r);
    ex.features.insert(ex.features.end(), x.begin(), x.end());
    for (const auto& reply : *replies) ex.success.push_back(reply.right ? 1 : 0);
    // All of them tell the same costs where answers are of one length; else the largest k's do.
    const auto& last = replies->back();
    ex.cost.insert(ex.cost.end(), last.cost.begin(), last.cost.end());
    ex.full_flops.push_back(last.full_flops);
    if (!all.lateness.empty())
      for (int64_t k = 0; k < all.n_k(); ++k) ex.lateness.push_back(all.lateness[all.at(r, k)]);
    ex.cluster.push_back(all.cluster[static_cast<size_t>(r)]);
    ++ex.n;
  }
  return ex;
}

std::vector<OnlineRow> judge(const Examples& ex, const Fitted& fitted, const Options& o) {
  std::vector<OnlineRow> out;
  const auto add = [&](const char* name, const char* about, const Shares& shares,
                       uint64_t own_flops) {
    out.push_back({name, about, outcome_of(ex, shares, own_flops, o.lambda, o.mu)});
  };
  std::vector<size_t> mine, plug;
  for (int64_t r = 0; r < ex.n; ++r) {
    mine.push_back(fitted.decide(ex.feature_row(r), o.lambda));
    plug.push_back(plug_in(fitted.success.p(ex.feature_row(r)), fitted.cost, o.lambda));
  }
  uint64_t success_flops = 0;
  for (const auto& l : fitted.success.net.layers())
    success_flops += 2 * static_cast<uint64_t>(l.n_in * l.n_out);
  const Shares shares = shares_of(ex, mine);
  add("reinforce", "trained, as exported", shares, fitted.flops());
  add("plug_in", "argmax of p_k - lambda cost_k, of the same draws", shares_of(ex, plug),
      success_flops);
  add("matched_random", "the trained policy's k, dealt at random", matched_random(ex, shares), 0);
  // Of these very questions: as good as a static k can look.
  std::vector<int64_t> rows;
  for (int64_t r = 0; r < ex.n; ++r) rows.push_back(r);
  std::vector<double> reward(static_cast<size_t>(ex.n_k()));
  for (const int64_t r : rows)
    for (int64_t k = 0; k < ex.n_k(); ++k)
      reward[static_cast<size_t>(k)] += ex.reward(r, k, o.lambda, o.mu);
  add("best_static", "the one k best on these questions",
      shares_of(ex, std::vector<size_t>(rows.size(), argmax(reward))), 0);
  add("oracle", "the best k, known afterwards", oracle(ex, o.lambda, o.mu), 0);
  return out;
}

std::vector<double> accuracy_by_k(const Examples& ex) {
  std::vector<double> out(static_cast<size_t>(ex.n_k()));
  for (int64_t r = 0; r < ex.n; ++r)
    for (int64_t k = 0; k < ex.n_k(); ++k)
      out[static_cast<size_t>(k)] += ex.success[ex.at(r, k)] / static_cast<double>(ex.n);
  return out;
}

// The routers of a model while they learn; those of the model come back with its end.
class RouterTraining {
 public:
  RouterTraining(QuestionBank& bank, const OnlinePlan& plan)
      : bank_(bank),
        routers_(*plan.routers),
        seed_(derived_seed(plan.options.seed, kRouterDraws)),
        learner_(routers_, engine().config().n_layers, engine().config().moe.n_routed(),
                 engine().config().d_model, plan.router_rate) {
    engine().explore_routers(&routers_);
  }
  ~RouterTraining() { engine().explore_routers(nullptr); }
  RouterTraining(const RouterTraining&) = delete;
  RouterTraining& operator=(const RouterTraining&) = delete;

  // As QuestionBank::ask, of drawn experts, and learns from the replies. expected: of being right.
  std::optional<std::vector<QuestionBank::Reply>> ask(std::span<const QuestionBank::Asked> asked,
                                                      std::span<const double> expected,
                                                      const std::atomic<bool>& stop) {
    std::vector<QuestionBank::Reply> out;
    for (size_t i = 0; i < asked.size(); ++i) {
      routers_.begin_drawing(derived_seed(seed_, n_drawn_++));
      const auto reply = bank_.ask(asked.subspan(i, 1), stop);
      routers_.end_drawing();
      if (!reply) return std::nullopt;
      learner_.add(routers_.choices(), (reply->front().right ? 1 : 0) - expected[i]);
      out.push_back(reply->front());
    }
    return out;
  }
  void step() { learner_.step(); }

 private:
  engine::Engine& engine() { return *bank_.model().engine; }

  QuestionBank& bank_;
  engine::RouterExploration& routers_;
  uint64_t seed_, n_drawn_ = 0;
  RouterLearner learner_;
};

}  // namespace

OnlineResult train_online(QuestionBank& bank, const OnlinePlan& plan,
                          const std::function<void(const OnlineResult&)>& save,
                          const std::atomic<bool>& stop) {
  const Examples& ex = bank.examples();
  const Options& o = plan.options;
  const Parts parts = part_questions(ex, plan.held_out, o.seed);
  OnlineResult out;
  out.trained_on = static_cast<int64_t>(parts.train.size());
  out.held_out = static_cast<int64_t>(parts.held_out.size());
  const int judgements = plan.routers == nullptr ? 1 : 2;
  Progress progress("train --online",
                    out.trained_on * o.epochs + judgements * out.held_out * ex.n_k());
  ReinforceLearner learner(ex, parts.train, o);
  const auto cost = mean_cost(ex, parts.train);
  const auto fitted = [&] { return Fitted{learner.success(), learner.policy(), cost}; };
  const auto keep = [&] {
    out.queries = bank.queries() - out.judging_queries;
    out.flops = bank.flops() - out.judging_flops;
    out.predictor = export_predictor(fitted(), ex.grid, o.lambda);
    out.predictor.model_sha256 = bank.model().weights_sha256;
    out.predictor.features = bank.features();
    save(out);
  };
  std::optional<RouterTraining> routers;
  if (plan.routers != nullptr) {
    const auto before = judged_examples(bank, parts.held_out, progress, stop);
    out.judging_queries = bank.queries();
    out.judging_flops = bank.flops();
    out.interrupted = !before;
    if (!before) return out;
    out.accuracy_before = accuracy_by_k(*before);
    routers.emplace(bank, plan);
  }
  auto order = parts.train;
  Random random(derived_seed(o.seed, kPassOrder));
  for (int pass = 1; pass <= o.epochs; ++pass) {
    random.shuffle(std::span(order));
    double rewards = 0;
    for (size_t at = 0; at < order.size(); at += static_cast<size_t>(o.batch)) {
      const auto batch =
          std::span(order).subspan(at, std::min(static_cast<size_t>(o.batch), order.size() - at));
      const auto draws = learner.draw(standardised(ex, learner.policy().input, batch));
      std::vector<QuestionBank::Asked> asked;
      for (size_t i = 0; i < batch.size(); ++i) asked.push_back({batch[i], draws[i].k});
      std::vector<double> expected;
      for (const auto& a : asked)
        expected.push_back(learner.success().p(ex.feature_row(a.row)).at(a.k));
      const auto replies = routers ? routers->ask(asked, expected, stop) : bank.ask(asked, stop);
      if (!replies) {  // this step is as if it had not begun
        out.interrupted = true;
        keep();
        return out;
      }
      std::vector<ReinforceLearner::Seen> seen;
      for (size_t i = 0; i < batch.size(); ++i) {
        const QuestionBank::Reply& reply = (*replies)[i];
        const auto k = static_cast<int64_t>(draws[i].k);
        const double late = ex.lateness.empty() ? 0 : o.mu * ex.lateness[ex.at(batch[i], k)];
        const double right = reply.right ? 1 : 0;
        seen.push_back({right, right - draws[i].lambda * reply.cost[draws[i].k] - late});
        rewards += seen.back().reward;
      }
      learner.learn(seen, cost);
      learner.step();
      if (routers) routers->step();
      progress.step(static_cast<int64_t>(batch.size()), fmt::format("pass {}", pass));
    }
    out.passes = pass;
    out.last_reward = rewards / static_cast<double>(order.size());
    if (pass == 1) out.first_reward = out.last_reward;
    keep();
  }
  const auto judged = judged_examples(bank, parts.held_out, progress, stop);
  out.judging_queries = bank.queries() - out.queries;
  out.judging_flops = bank.flops() - out.flops;
  out.interrupted = !judged;
  if (!judged) return out;
  if (routers) out.accuracy_after = accuracy_by_k(*judged);
  progress.finish();
  out.rows = judge(*judged, fitted(), o);
  out.held_out_items = out.rows.front().outcome.clusters;
  return out;
}

}  // namespace harness
