#include "data/latent_to_rgb.h"

#include <algorithm>
#include <cmath>

namespace limewash::data {
namespace {

constexpr double kRidge = 1e-8;

/// Replace the symmetric positive definite `matrix` [n, n] by its lower Cholesky factor.
void factorize(std::vector<double>& matrix, size_t n) {
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j <= i; ++j) {
      double sum = matrix[i * n + j];
      for (size_t k = 0; k < j; ++k) sum -= matrix[i * n + k] * matrix[j * n + k];
      // Rounding may leave a pivot of zero where channels repeat each other.
      matrix[i * n + j] = i == j ? std::sqrt(std::max(sum, 1e-300)) : sum / matrix[j * n + j];
    }
}

/// Solve L L^T x = b for the three columns of `columns` [n, 3], in place.
void substitute(const std::vector<double>& lower, size_t n, std::vector<double>& columns) {
  for (size_t c = 0; c < 3; ++c) {
    for (size_t i = 0; i < n; ++i) {
      for (size_t k = 0; k < i; ++k) columns[i * 3 + c] -= lower[i * n + k] * columns[k * 3 + c];
      columns[i * 3 + c] /= lower[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
      for (size_t k = i + 1; k < n; ++k)
        columns[i * 3 + c] -= lower[k * n + i] * columns[k * 3 + c];
      columns[i * 3 + c] /= lower[i * n + i];
    }
  }
}

}  // namespace

AffineFit::AffineFit(int64_t latent_channels)
    : channels(latent_channels),
      gram(static_cast<size_t>((latent_channels + 1) * (latent_channels + 1))),
      response(static_cast<size_t>((latent_channels + 1) * 3)) {}

void AffineFit::add(const float* latents, const float* rgb, int64_t positions) {
  const auto n = static_cast<size_t>(channels + 1);
  std::vector<double> x(n, 1.0);
  for (int64_t p = 0; p < positions; ++p) {
    for (size_t c = 0; c + 1 < n; ++c) x[c] = latents[static_cast<int64_t>(c) * positions + p];
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) gram[i * n + j] += x[i] * x[j];
      for (size_t c = 0; c < 3; ++c)
        response[i * 3 + c] += x[i] * rgb[static_cast<size_t>(p) * 3 + c];
    }
  }
  count += static_cast<double>(positions);
}

void AffineFit::add(const AffineFit& other) {
  std::transform(gram.begin(), gram.end(), other.gram.begin(), gram.begin(), std::plus<>());
  std::transform(
      response.begin(), response.end(), other.response.begin(), response.begin(), std::plus<>());
  count += other.count;
}

std::vector<float> AffineFit::solve() const {
  const auto n = static_cast<size_t>(channels + 1);
  std::vector<double> matrix = gram, columns = response;
  double squares = 0;
  for (size_t i = 0; i + 1 < n; ++i) squares += matrix[i * n + i];
  const double ridge =
      kRidge * std::max(squares / static_cast<double>(std::max<size_t>(n - 1, 1)), 1e-12);
  for (size_t i = 0; i < n; ++i) matrix[i * n + i] += ridge;
  factorize(matrix, n);
  substitute(matrix, n, columns);
  return {columns.begin(), columns.end()};
}

}  // namespace limewash::data
