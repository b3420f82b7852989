// Owns MOEVAL_HD, the mark of functions that the GPU and the tests on the CPU share.
#pragma once

#ifdef __CUDACC__
#define MOEVAL_HD __host__ __device__
#else
#define MOEVAL_HD
#endif
