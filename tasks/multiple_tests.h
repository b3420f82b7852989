// Owns p-values of several tests taken together. Pure functions.
#pragma once

#include <span>
#include <vector>

namespace tasks {

// Holm 1979: adjusted p-values that bound the chance of any false finding, in the input's order.
std::vector<double> holm(std::span<const double> p);

// Benjamini, Hochberg 1995: adjusted p-values that bound the expected share of false findings.
std::vector<double> benjamini_hochberg(std::span<const double> p);

}  // namespace tasks
