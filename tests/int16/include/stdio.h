#ifndef INT16_STDIO_H
#define INT16_STDIO_H
#include <stdarg.h>
#include <stddef.h>
typedef int FILE;
#define stdout ((FILE *)0)
#define stderr ((FILE *)0)
#define _IOLBF 1
#define setvbuf(file, buf, mode, size) ((void)0)
#define putchar(c) printf("%c", (c))
#define fprintf(file, ...) printf(__VA_ARGS__)
int printf(const char *format, ...);
int sprintf(char *out, const char *format, ...);
int snprintf(char *out, size_t cap, const char *format, ...);
int vsnprintf(char *out, size_t cap, const char *format, va_list args);
#endif
