/* runtime - what the tests need of a C library, where int and size_t have 16 bits:
   m68k Linux with -mshort, which no C library is built for. Memory is never taken
   back: a test does not run for long. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv);

static long syscall3(long number, long a, long b, long c)
{
    register long d0 __asm__("d0") = number;
    register long d1 __asm__("d1") = a;
    register long d2 __asm__("d2") = b;
    register long d3 __asm__("d3") = c;
    __asm__ volatile("trap #0" : "+r"(d0) : "r"(d1), "r"(d2), "r"(d3) : "memory", "a0", "a1");
    return d0;
}

void exit(int status)
{
    for (;;) syscall3(1, status, 0, 0);
}

void abort(void)
{
    printf("abort()\n");
    exit(134);
}

extern void (*__init_array_start[])(void);
extern void (*__init_array_end[])(void);

__attribute__((used)) static void start(void)
{
    static char name[] = "test";
    static char *argv[] = { name, NULL };
    void (**f)(void);
    for (f = __init_array_start; f != __init_array_end; f++) (*f)();
    exit(main(1, argv));
}
__asm__(".globl _start\n_start: jsr start\n");

/* ---- memory and strings ---------------------------------------------------- */

void *memmove(void *to, const void *from, size_t n)
{
    unsigned char *t = (unsigned char *)to;
    const unsigned char *f = (const unsigned char *)from;
    if (t < f) while (n--) *t++ = *f++;
    else while (n--) t[n] = f[n];
    return to;
}
void *memcpy(void *to, const void *from, size_t n) { return memmove(to, from, n); }
void *memset(void *to, int c, size_t n)
{
    unsigned char *t = (unsigned char *)to;
    while (n--) *t++ = (unsigned char)c;
    return to;
}
int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *p = (const unsigned char *)a, *q = (const unsigned char *)b;
    for (; n; n--, p++, q++) if (*p != *q) return *p < *q ? -1 : 1;
    return 0;
}
void *memchr(const void *m, int c, size_t n)
{
    const unsigned char *p = (const unsigned char *)m;
    for (; n; n--, p++) if (*p == (unsigned char)c) return (void *)(uintptr_t)p;
    return NULL;
}
size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n]) n++;
    return n;
}
int strncmp(const char *a, const char *b, size_t n)
{
    for (; n; n--, a++, b++) {
        if (*a != *b) return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        if (!*a) break;
    }
    return 0;
}
int strcmp(const char *a, const char *b) { return strncmp(a, b, SIZE_MAX); }
char *strchr(const char *s, int c) { return (char *)memchr(s, c, strlen(s) + 1); }
char *strrchr(const char *s, int c)
{
    size_t n = strlen(s) + 1;
    while (n--) if (s[n] == (char)c) return (char *)(uintptr_t)(s + n);
    return NULL;
}
char *strstr(const char *s, const char *what)
{
    size_t n = strlen(what);
    for (; *s || !n; s++) if (strncmp(s, what, n) == 0) return (char *)(uintptr_t)s;
    return NULL;
}
size_t strspn(const char *s, const char *set)
{
    size_t n = 0;
    while (s[n] && strchr(set, s[n])) n++;
    return n;
}
size_t strcspn(const char *s, const char *set)
{
    size_t n = 0;
    while (s[n] && !strchr(set, s[n])) n++;
    return n;
}
char *strcpy(char *to, const char *from) { return (char *)memmove(to, from, strlen(from) + 1); }
char *strcat(char *to, const char *from)
{
    strcpy(to + strlen(to), from);
    return to;
}

/* Each block has its size before it. */
void *malloc(size_t n)
{
    static char *at, *end;
    uint32_t need = ((uint32_t)n + 15) & ~(uint32_t)7;
    char *p;
    if (!at) at = end = (char *)syscall3(45, 0, 0, 0);
    if (need > (uint32_t)end - (uint32_t)at) {
        end = (char *)syscall3(45, (long)(end + 0x100000L), 0, 0);
        if (need > (uint32_t)end - (uint32_t)at) return NULL;
    }
    p = at + 8;
    at += need;
    *(size_t *)(void *)(p - 8) = n;
    return p;
}
void free(void *p) { (void)p; }
void *calloc(size_t n, size_t size)
{
    uint32_t all = (uint32_t)n * size;
    void *p = all > 0x7FFF ? NULL : malloc((size_t)all);
    return p ? memset(p, 0, (size_t)all) : NULL;
}
void *realloc(void *p, size_t n)
{
    size_t old = p ? *(size_t *)(void *)((char *)p - 8) : 0;
    void *q = malloc(n);
    return q && p ? memcpy(q, p, old < n ? old : n) : q;
}
int atoi(const char *s)
{
    int n = 0;
    while (*s >= '0' && *s <= '9') n = n * 10 + (*s++ - '0');
    return n;
}
char *getenv(const char *name) { (void)name; return NULL; }
int setenv(const char *name, const char *value, int over) { (void)name; (void)value; (void)over; return 0; }
int unsetenv(const char *name) { (void)name; return 0; }

/* ---- output ---------------------------------------------------------------- */

typedef struct printing { char *out; size_t cap, len; } printing;

static void print(printing *p, const char *text, size_t n)
{
    for (; n; n--, text++, p->len++) if (p->len + 1 < p->cap) p->out[p->len] = *text;
}

static void print_number(printing *p, uint64_t v, unsigned base, bool minus, int width, char pad)
{
    char digits[24];
    int n = (int)sizeof digits;
    do digits[--n] = "0123456789abcdef"[v % base];
    while (v /= base);
    if (minus) digits[--n] = '-';
    for (width -= (int)sizeof digits - n; width > 0; width--) print(p, &pad, 1);
    print(p, digits + n, sizeof digits - (size_t)n);
}

/* %[0][width][.precision][l|ll|z]{d,i,u,x,X,c,s,%} */
int vsnprintf(char *out, size_t cap, const char *f, va_list args)
{
    printing p = { out, cap, 0 };
    for (; *f; f++) {
        int width = 0, precision = -1, longs = 0;
        char pad = ' ';
        if (*f != '%') { print(&p, f, 1); continue; }
        f++;
        if (*f == '-') f++;
        if (*f == '0') pad = *f++;
        for (; *f >= '0' && *f <= '9'; f++) width = width * 10 + (*f - '0');
        if (*f == '.' && *++f == '*') { precision = va_arg(args, int); f++; }
        else if (f[-1] == '.') for (precision = 0; *f >= '0' && *f <= '9'; f++) precision = precision * 10 + (*f - '0');
        for (; *f == 'l' || *f == 'z'; f++) longs += *f == 'l';
        if (*f == 's') {
            const char *s = va_arg(args, const char *);
            size_t n = strlen(s);
            print(&p, s, precision >= 0 && (size_t)precision < n ? (size_t)precision : n);
        } else if (*f == 'c') {
            char c = (char)va_arg(args, int);
            print(&p, &c, 1);
        } else if (*f == 'd' || *f == 'i') {
            int64_t v = longs > 1 ? va_arg(args, long long) : longs ? va_arg(args, long) : va_arg(args, int);
            print_number(&p, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, v < 0, width, pad);
        } else if (*f == 'u' || *f == 'x' || *f == 'X') {
            uint64_t v = longs > 1 ? va_arg(args, unsigned long long)
                : longs ? va_arg(args, unsigned long) : va_arg(args, unsigned);
            print_number(&p, v, *f == 'u' ? 10 : 16, false, width, pad);
        } else {
            print(&p, f, 1);
        }
    }
    if (cap) out[p.len < cap ? p.len : cap - 1] = 0;
    return (int)p.len;
}

int snprintf(char *out, size_t cap, const char *format, ...)
{
    va_list args;
    int n;
    va_start(args, format);
    n = vsnprintf(out, cap, format, args);
    va_end(args);
    return n;
}

int sprintf(char *out, const char *format, ...)
{
    va_list args;
    int n;
    va_start(args, format);
    n = vsnprintf(out, 0x7FFF, format, args);
    va_end(args);
    return n;
}

int printf(const char *format, ...)
{
    static char line[4096];
    va_list args;
    int n;
    va_start(args, format);
    n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    syscall3(4, 1, (long)line, n < (int)sizeof line ? n : (int)sizeof line - 1);
    return n;
}
