// Owns the standard normal distribution. Pure functions.
#pragma once

namespace tasks {

double normal_cdf(double x);

// Quantile; 0 < p < 1.
double normal_quantile(double p);

}  // namespace tasks
