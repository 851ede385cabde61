#define FACTOR 2
int twice(int);
