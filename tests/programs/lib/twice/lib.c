#include "lib.h"
int twice(int x) { return FACTOR * x; }
