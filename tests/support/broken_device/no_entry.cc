// A library that is no module of moeval: it has a symbol, but not the one that is looked for.

extern "C" __attribute__((visibility("default"))) int moeval_no_device_table() { return 0; }
