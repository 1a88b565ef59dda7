/* simdjson's DOM parser for json.c; its parser and buffers are used again. */
#include "peers.h"
#include <simdjson.h>

extern "C" int bench_simdjson(const char *text, size_t len)
{
    static simdjson::dom::parser parser;
    simdjson::dom::element root;
    return parser.parse(text, len).get(root) == simdjson::SUCCESS;
}
