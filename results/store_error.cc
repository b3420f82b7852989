#include "results/store_error.h"
