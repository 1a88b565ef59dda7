#include "public.h"
#include "code.h"
#include "template.h"
#include "build.h"

#ifdef SANDBOX_IMPLEMENTATION

/* The manifest (sandbox_impl/sandbox_all.h): the one ordered list of modules. A
   module uses only what stands above it (make layers). The manifest is itself a
   valid header, for debugging with true file names and lines. */

#ifdef __cplusplus
#error "Compile the file with SANDBOX_IMPLEMENTATION as C99; include sandbox.h from C++ elsewhere."
#endif

#include "base/base.c"
#include "base/alloc.c"
#include "base/buf.c"
#include "base/error.c"

#include "codec/base64.c"
#include "codec/percent.c"
#include "codec/shell.c"
#include "codec/sha256.c"
#include "codec/time.c"
#include "codec/crc32.c"
#include "codec/inflate.c"
#include "codec/deflate.c"
#include "codec/lz.c"

#include "json/wide.c"
#include "json/read.c"
#include "json/write.c"
#include "json/bind.c"

#include "http/response.c"
#include "http/multipart.c"

#include "frame/connect.c"
#include "frame/ndjson.c"

#include "pack/tar.c"
#include "pack/gzip.c"
#include "pack/glob.c"
#include "pack/ignore.c"
#include "pack/tree.c"
#include "pack/hash.c"
#include "pack/context.c"

#include "net/stream.c"
#include "net/posix.c"
#include "net/posix_files.c"
#include "net/tls_names.c"
#include "net/tls.c"
#include "net/proxy.c"
#include "net/exchange.c"

#include "op/route.h"
#include "op/op.h"
#include "op/keep.c"
#include "op/handle.c"
#include "op/client.c"
#include "pack/steps.c"
#include "pack/dockerfile.c"
#include "op/trace.c"
#include "op/request.c"
#include "op/proc.c"
#include "op/code.c"
#include "op/reply.c"
#include "op/deliver.c"
#include "op/op.c"

#include "provider/provider.h"
#include "provider/e2b_template.c"
#include "provider/e2b_dockerfile.c"
#include "provider/e2b.c"

#include "api/sandbox.c"
#include "api/command.c"
#include "api/proc.c"
#include "api/code.c"
#include "api/files.c"
#include "api/watch.c"
#include "api/template.c"
#include "api/build.c"
#include "api/invoke.c"

#endif /* SANDBOX_IMPLEMENTATION */

/* The licence of all of it. */
#include "license.h"
