/* The whole implementation, nothing else: what a user's one file compiles. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"

#ifdef SANDBOX_STATIC
/* Something must use it, or the compiler may drop all of it unread. */
int compile_use(sbx_client **out, const sbx_config *config);
int compile_use(sbx_client **out, const sbx_config *config) { return sbx_open(out, config); }
#endif
