// Owns the families spoof_up and spoof_down: a question dressed up as harder or easier than it is.
// Up: a learned header; with a formula that nothing needs; with a puzzle marked as no part of the
// question. Down: one, two and three remarks on how easy it is.
#include <array>

#include "tasks/shift/fixed_texts.h"
#include "tasks/shift/text_before.h"

namespace tasks::shift {
namespace {

constexpr std::string_view kAfterLooks = "\n\n";

constexpr std::array<std::string_view, 4> kHeaders = {
    "[Advanced graduate qualifying examination, section on $\\mathcal{H}$-adapted inference]",
    "[Research seminar: asymptotics of $\\operatorname{argmax}_{\\theta} "
    "\\mathbb{E}[\\ell(\\theta)]$]",
    "[Doctoral colloquium; notation as in $\\int_{\\Omega} \\nabla u \\cdot \\nabla v \\, d\\mu$]",
    "[Olympiad shortlist, final round; hard; $\\forall \\varepsilon > 0 \\; \\exists \\delta > "
    "0$]"};

constexpr std::array<std::string_view, 4> kFormulas = {
    "Formula sheet (not needed here): $\\zeta(s) = \\sum_{n \\ge 1} n^{-s} = "
    "\\prod_{p} (1 - p^{-s})^{-1}$, $\\operatorname{Re}(s) > 1$",
    "Formula sheet (not needed here): $\\partial_t \\rho + \\nabla \\cdot (\\rho v) = 0$, "
    "$\\rho \\, D_t v = -\\nabla p + \\mu \\Delta v$",
    "Formula sheet (not needed here): $\\hat{f}(\\xi) = \\int_{\\mathbb{R}} f(x) "
    "e^{-2 \\pi i x \\xi} \\, dx$, $\\|f\\|_2 = \\|\\hat{f}\\|_2$",
    "Formula sheet (not needed here): $\\det(A - \\lambda I) = 0$, $A = U \\Sigma V^{*}$, "
    "$\\operatorname{tr} A = \\sum_i \\lambda_i$"};

constexpr std::array<std::string_view, 3> kDecoys = {
    "(The next lines are not part of the question and need no answer.)\n"
    "Decision process: states {s0, s1, s2}, actions {a, b}, discount 0.9. From s0, a leads to s1\n"
    "with 0.7 and to s2 with 0.3; b leads to s2. From s1, a leads back to s0 with reward 4; b "
    "ends\n"
    "with reward 1. From s2, both actions end with reward 2. Values V(s0), V(s1), V(s2) satisfy\n"
    "the Bellman equations V(s) = max_u sum_t P(t | s, u) (R(s, u, t) + 0.9 V(t)).\n"
    "(End of the lines that are not part of the question.)",
    "(The next lines are not part of the question and need no answer.)\n"
    "Grid of numbers, a dot is an open cell, each row, column and block holds 1 to 4 once:\n"
    "1 . | . 4\n. 4 | 1 .\n----+----\n. 1 | 4 .\n4 . | . 1\n"
    "Constraint graph: 16 nodes, 56 edges; propagate, branch on the cell with fewest candidates,\n"
    "backtrack on a contradiction, count the leaves of the search tree.\n"
    "(End of the lines that are not part of the question.)",
    "(The next lines are not part of the question and need no answer.)\n"
    "Schedule: jobs J1..J5 with durations 3, 7, 2, 5, 4 and deadlines 9, 12, 6, 20, 15 on two\n"
    "machines; J2 after J1, J4 after J3; setup time 1 between jobs of different kinds. Let x_ij be "
    "1\n"
    "when job i runs on machine j; minimise sum_i w_i T_i subject to sum_j x_ij = 1 for every i.\n"
    "(End of the lines that are not part of the question.)"};

constexpr std::array<std::string_view, 4> kEasy = {
    "Quick easy one:", "A short warm-up:", "An easy one to begin with:", "Just a simple one:"};

constexpr std::array<std::string_view, 3> kEasier = {
    "This is very easy and takes only a second.",
    "Nothing difficult here, hardly anybody needs to think about it.",
    "Everyone gets this right at once."};

constexpr std::array<std::string_view, 3> kEasiest = {
    "No working, no reasoning and no special knowledge is needed; a child could answer it.",
    "This is the simplest item of the whole set, put in as a break between the hard ones.",
    "Please spend no effort on this one, the first thing that comes to mind will do."};

constexpr std::array<FixedTexts, 3> kUp = {FixedTexts(kHeaders), FixedTexts(kFormulas),
                                           FixedTexts(kDecoys)};
constexpr std::array<FixedTexts, 3> kDown = {FixedTexts(kEasy), FixedTexts(kEasier),
                                             FixedTexts(kEasiest)};

// A short remark stands in the question's own line.
constexpr std::string_view kDownGap = " ";

Family::Plan plan_up(const Request& r) {
  return {{text_before(r.sample, drawn_texts(kUp, r, "spoof_up"), kAfterLooks, "looks hard")}, {}};
}

Family::Plan plan_down(const Request& r) {
  return {{text_before(r.sample, drawn_texts(kDown, r, "spoof_down"), kDownGap, "looks easy")}, {}};
}

std::string check_texts(std::span<const FixedTexts> texts, std::string_view gap, const Shift& s,
                        const datasets::Sample& original, const Shifted& shifted) {
  const auto put = text_put_before(original, shifted.sample, gap);
  if (!put) return "the item does not stand whole behind the spoof";
  return is_of_texts(texts, s.severity, *put) ? "" : "the text before the item is none of the list";
}

std::string check_up(const Shift& s, const datasets::Sample& original, const Shifted& shifted) {
  return check_texts(kUp, kAfterLooks, s, original, shifted);
}

std::string check_down(const Shift& s, const datasets::Sample& original, const Shifted& shifted) {
  return check_texts(kDown, kDownGap, s, original, shifted);
}

}  // namespace

Family spoof_up_family() {
  return {.id = ShiftFamily::spoof_up,
          .about = "a learned header; and an unused formula; and a puzzle marked as no part of it",
          .name = "spoof_up",
          .version = 1,
          .guarantee = Guarantee::item_verbatim,
          .draws_from = 1,
          .for_questions = true,
          .for_code = true,
          .needs_letters = false,
          .plan = plan_up,
          .check = check_up};
}

Family spoof_down_family() {
  return {.id = ShiftFamily::spoof_down,
          .about = "one, two or three remarks on how easy it is",
          .name = "spoof_down",
          .version = 1,
          .guarantee = Guarantee::item_verbatim,
          .draws_from = 1,
          .for_questions = true,
          .for_code = true,
          .needs_letters = false,
          .plan = plan_down,
          .check = check_down};
}

}  // namespace tasks::shift
