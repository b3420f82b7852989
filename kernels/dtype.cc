#include "kernels/dtype.h"

namespace kernels {}
