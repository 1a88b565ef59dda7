/* sandboxd: the one file that carries sandbox.h's implementation, of which the
   host uses JSON, base64 and SHA-256. The rest goes unused: no TLS is linked. */
#define SBX_NO_TLS
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
