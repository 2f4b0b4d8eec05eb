"""The table of edits in C: what must keep the hash of train.c:train, and what must change it.

A row is (verdict, what it is, file, before, after); before stands in the file exactly once. FILES is the
program that they edit.
"""

KEEP, CHANGE = "keep", "change"

FILES = {
    "train.c": '''/* Trains. */
#define _GNU_SOURCE
#include <cashet/task.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "helpers.h"
#include "types.h"
#include "unused.h"

#define LIMIT 10
#define UNUSED_LIMIT 20
#define SQUARE(x) ((x) * (x))
#define TWICE(x) (SQUARE(x) + BASE)
#define BASE 7
#define NAME_OF(x) #x
#define LEVEL 3
#define EACH(n) static int n##_next(int x) { return x + STEP; }
#define STEP 1

EACH(row)

#if LEVEL > 2
#define MODE 1
#else
#define MODE 2
#endif

static double scale = 0.5, bias = 2.0;
static const char *const names[] = {"sgd", "adam"};
static int unused_variable = 4;

static int in_table(int x)
{
	return x + 11;
}

static int other_in_table(int x)
{
	return x + 12;
}

static int (*const table[])(int) = {
	in_table,
#include "rows.inc"
};

/* a helper */
static double helper(double x)
{
	return sqrt(x) * scale + TWICE(x);
}

static double unused(double x)
{
	return x - 100;
}

static void forget(int *x)
{
	*x = 0;
}

static int count(int x);

static int even(int x)
{
	return x == 0 ? 1 : count(x - 1);
}

static int count(int x)
{
	return x > 0 ? even(x - 1) : LIMIT;
}

static int by_sizeof(void)
{
	return (int)sizeof(struct sized);
}

static int choose(int x)
{
#ifdef FAST
	return x + 40;
#elif LEVEL > 2
	return x + 41;
#else
	return x + 42;
#endif
}

__attribute__((constructor)) static void begin(void)
{
	unused_by_others = 5;
}

int train(struct cashet_task *task)
{
	struct point p = {.x = 1, .y = MODE};
	enum color c = GREEN;
	__attribute__((cleanup(forget))) int kept = 1;
	double step = 3, forget_not = 1;
	char text[40] = "a  b"; // two blanks
	snprintf(text, sizeof text, "%s %d", names[0], (int)LIMIT);
	p.x += helper(step) + by_include(c) + table[1](2) + even(3) + row_next(4);
	p.y += by_sizeof() + choose(1) + kept + from_other_file(forget_not) + strlen(NAME_OF(a + b));
	cashet_json_float(task, p.x + p.y + offset_of_origin(&(struct box){.origin = p}));
	return 0;
}

int other_task(struct cashet_task *task)
{
	return cashet_failed(task);
}
''',
    "rows.inc": "\tother_in_table, /* and */\n\tin_table,\n",
    "helpers.h": '''#ifndef HELPERS_H
#define HELPERS_H
double from_other_file(double x);
int never_called(void);
extern int unused_by_others;
static inline int by_include(int x)
{
	return x + 21;
}
#endif
''',
    "helpers.c": '''#include "helpers.h"

int unused_by_others = 1;

static double inner(double x)
{
	return x * 31;
}

static double not_reached(double x)
{
	return x * 32;
}

double from_other_file(double x)
{
	return inner(x) + 1;
}

int never_called(void)
{
	return (int)not_reached(2);
}
''',
    "types.h": '''#pragma once

typedef double number;

enum color { RED, GREEN, BLUE };

enum other_color { CYAN };

struct point {
	number x, y;
};

struct box {
	struct point origin;
	struct { int depth; } inner;
};

struct sized {
	char bytes[24];
};

struct unused_type {
	int z;
};

static inline double offset_of_origin(const struct box *b)
{
	return b->origin.x;
}
''',
    "unused.h": "int nobody(void);\n#define NOBODY 1\n",
}

EDITS = [
    # ---- what must keep the hash
    (KEEP, "a comment at the top", "train.c", "/* Trains. */", "/* Trains, and more. */"),
    (KEEP, "a comment at the end of a line", "train.c", " // two blanks", " // 2"),
    (KEEP, "a comment within an expression", "train.c", "sqrt(x) * scale", "sqrt(/* of */ x) * scale"),
    (KEEP, "indentation", "train.c", "\treturn x + 11;", "        return x + 11;"),
    (KEEP, "blanks between tokens", "train.c", "p.x += helper(step)", "p . x+=helper ( step )"),
    (KEEP, "a line break", "train.c", "enum color c = GREEN;", "enum color c =\n\t\tGREEN;"),
    (KEEP, "a joined line", "train.c", "double step = 3,", "double step \\\n = 3,"),
    (KEEP, "braces on other lines", "train.c", "static double unused(double x)\n{", "static double unused(double x) {"),
    (KEEP, "line ends of another system", "types.h", "enum other_color { CYAN };\n", "enum other_color { CYAN };\r\n"),
    (KEEP, "blanks in a #define", "train.c", "#define LIMIT 10", "#  define LIMIT    10 /* ten */"),
    (KEEP, "a function that is not reached", "train.c", "return x - 100;", "return x - 101;"),
    (KEEP, "a function that is not reached is gone", "train.c",
     "static double unused(double x)\n{\n\treturn x - 100;\n}\n", ""),
    (KEEP, "a variable that is not reached", "train.c", "unused_variable = 4", "unused_variable = 5"),
    (KEEP, "a macro that is not reached", "train.c", "UNUSED_LIMIT 20", "UNUSED_LIMIT 21"),
    (KEEP, "a type that is not reached", "types.h", "\tint z;", "\tlong z;"),
    (KEEP, "an enum that is not reached", "types.h", "{ CYAN }", "{ CYAN, MAGENTA }"),
    (KEEP, "a header of which nothing is used", "unused.h", "int nobody(void);", "long nobody(int);"),
    (KEEP, "an include of which nothing is used is gone", "train.c", '#include "unused.h"\n', ""),
    (KEEP, "a system header of which nothing more is used", "train.c", "#include <math.h>",
     "#include <math.h>\n#include <stdlib.h>"),
    (KEEP, "includes in another order", "train.c", "#include <stdio.h>\n#include <string.h>",
     "#include <string.h>\n#include <stdio.h>"),
    (KEEP, "definitions in another order", "types.h",
     "struct sized {\n\tchar bytes[24];\n};\n\nstruct unused_type {\n\tint z;\n};\n",
     "struct unused_type {\n\tint z;\n};\n\nstruct sized {\n\tchar bytes[24];\n};\n"),
    (KEEP, "another task of the file", "train.c", "return cashet_failed(task);", "return 3;"),
    (KEEP, "what another file has and nobody reaches", "helpers.c", "return x * 32;", "return x * 33;"),
    (KEEP, "a declaration of what is defined elsewhere", "helpers.h", "double from_other_file(double x);",
     "double from_other_file(double);"),
    (KEEP, "the name of a guard", "helpers.h", "#ifndef HELPERS_H\n#define HELPERS_H", "#ifndef H_H\n#define H_H"),
    (KEEP, "#pragma once instead of a guard", "unused.h", "int nobody(void);", "#pragma once\nint nobody(void);"),
    (KEEP, "code that is left out", "train.c", "return x + 40;", "return x + 400;"),
    (KEEP, "the last branch, which is left out", "train.c", "return x + 42;", "return x + 43;"),
    (KEEP, "a condition that decides the same", "train.c", "#elif LEVEL > 2\n\treturn", "#elif LEVEL > 1\n\treturn"),
    (KEEP, "nonsense in #if 0", "train.c", "static double unused(", "#if 0\ndon't ( read\n#endif\nstatic double unused("),
    (KEEP, "a definition that is left out", "train.c", "#define MODE 2", "#define MODE 3"),
    (KEEP, "a comment in an included part", "rows.inc", "/* and */", "// and"),
    (KEEP, "a local name that a function has too", "train.c", "static double unused(double x)\n{\n\treturn x",
     "static int step(void) { return 8; }\nstatic double unused(double x)\n{\n\treturn x + step()"),
    (KEEP, "a member that a function is called like", "train.c", "static double unused(double x)\n{\n\treturn x",
     "static int y(void) { return 8; }\nstatic double unused(double x)\n{\n\treturn x + y()"),

    # ---- what must change it
    (CHANGE, "a constant of the entry", "train.c", "{.x = 1, .y = MODE}", "{.x = 2, .y = MODE}"),
    (CHANGE, "a string", "train.c", '"a  b"', '"a b"'),
    (CHANGE, "a helper", "train.c", "sqrt(x) * scale", "sqrt(x) / scale"),
    (CHANGE, "which function of the system is called", "train.c", "sqrt(x)", "cbrt(x)"),
    (CHANGE, "a helper in a header", "helpers.h", "return x + 21;", "return x + 22;"),
    (CHANGE, "a helper in the .c file beside its header", "helpers.c", "return inner(x) + 1;", "return inner(x) + 2;"),
    (CHANGE, "a helper of that one", "helpers.c", "return x * 31;", "return x * 30;"),
    (CHANGE, "a helper of a helper of its own", "train.c", "return x == 0 ? 1 :", "return x == 0 ? 2 :"),
    (CHANGE, "a macro", "train.c", "#define LIMIT 10", "#define LIMIT 11"),
    (CHANGE, "a macro with arguments", "train.c", "((x) * (x))", "((x) * (x) * (x))"),
    (CHANGE, "a macro that a macro names", "train.c", "#define BASE 7", "#define BASE 8"),
    (CHANGE, "a macro without its parameters", "train.c", "#define SQUARE(x) ((x)", "#define SQUARE(x) (+(x)"),
    (CHANGE, "a macro that makes functions", "train.c", "{ return x + STEP; }", "{ return x - STEP; }"),
    (CHANGE, "a macro in a function that a macro makes", "train.c", "#define STEP 1", "#define STEP 2"),
    (CHANGE, "what a condition chooses", "train.c", "#define MODE 1", "#define MODE 4"),
    (CHANGE, "what a condition asks", "train.c", "#define LEVEL 3", "#define LEVEL 2"),
    (CHANGE, "the branch that is compiled", "train.c", "return x + 41;", "return x + 44;"),
    (CHANGE, "which branch is compiled", "train.c", "#ifdef FAST", "#ifndef FAST"),
    (CHANGE, "a variable's value", "train.c", "scale = 0.5", "scale = 0.25"),
    (CHANGE, "a variable's type", "train.c", "static double scale", "static float scale"),
    (CHANGE, "a table of texts", "train.c", '{"sgd", "adam"}', '{"SGD", "adam"}'),
    (CHANGE, "a table of functions", "rows.inc", "\tother_in_table,", "\tin_table,"),
    (CHANGE, "a function in a table", "train.c", "return x + 11;", "return x + 13;"),
    (CHANGE, "a function in the included part of a table", "train.c", "return x + 12;", "return x + 14;"),
    (CHANGE, "a function in an attribute", "train.c", "*x = 0;", "*x = 1;"),
    (CHANGE, "an attribute", "train.c", "static double helper(double x)",
     "static __attribute__((noinline)) double helper(double x)"),
    (CHANGE, "an attribute in front", "train.c", "/* a helper */", "__attribute__((noinline))"),
    (CHANGE, "an attribute of a declaration", "train.c", "static int count(int x);",
     "static int count(int x) __attribute__((const));"),
    (CHANGE, "a constructor", "train.c", "unused_by_others = 5;", "unused_by_others = 6;"),
    (CHANGE, "what a constructor names", "helpers.c", "int unused_by_others = 1;", "int unused_by_others = 2;"),
    (CHANGE, "a member of a struct", "types.h", "\tnumber x, y;", "\tnumber x, w, y;"),
    (CHANGE, "a struct in a struct", "types.h", "{ int depth; }", "{ long depth; }"),
    (CHANGE, "a struct of which only the size is used", "types.h", "bytes[24]", "bytes[25]"),
    (CHANGE, "a typedef", "types.h", "typedef double number;", "typedef float number;"),
    (CHANGE, "the order of an enum", "types.h", "{ RED, GREEN, BLUE }", "{ GREEN, RED, BLUE }"),
    (CHANGE, "packing", "types.h", "#pragma once\n", "#pragma once\n#pragma pack(1)\n"),
    (CHANGE, "a pragma in a function", "train.c", "\treturn x + 41;", "#pragma GCC ivdep\n\treturn x + 41;"),
    (CHANGE, "a text that # makes", "train.c", "NAME_OF(a + b)", "NAME_OF(a+b)"),
    (CHANGE, "a macro that the system's headers read", "train.c", "#define _GNU_SOURCE\n", ""),
    (CHANGE, "asserts are off", "train.c", "#define LIMIT 10", "#define NDEBUG\n#define LIMIT 10"),
    (CHANGE, "a static helper of the entry's name for a system function", "train.c", "static int count(int x);",
     "static int snprintf_(int x) { return x; }\n#define snprintf(...) snprintf_(1)\nstatic int count(int x);"),
    (CHANGE, "the name of a local", "train.c", "double step = 3, forget_not = 1;", "double step = 3, forget_not = 1, z;"),
    (CHANGE, "the file's assembly", "train.c", "EACH(row)\n", 'EACH(row)\n__asm__(".set cashet_mark, 1");\n'),
]
