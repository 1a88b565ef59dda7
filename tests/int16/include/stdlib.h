#ifndef INT16_STDLIB_H
#define INT16_STDLIB_H
#include <stddef.h>
void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);
void free(void *p);
void abort(void);
void exit(int status);
int atoi(const char *s);
char *getenv(const char *name);
int setenv(const char *name, const char *value, int over);
int unsetenv(const char *name);
#endif
