#define SANDBOX_STATIC
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"

int unit_b(void);

int unit_b(void) { return sbx_open(NULL, NULL); }
