"""Pairs of small programs in C: where the order of lines, names that are made of pieces, and the linker decide.

A row is (verdict, what it is, before, after, flags), before and after all files of a program whose train.c:train is
described.
"""

KEEP, CHANGE = "keep", "change"


def program(value, before, body=""):
    """train.c, whose function returns @value."""
    return "#include <cashet/task.h>\n%s\nint train(struct cashet_task *task)\n{\n%s\treturn %s;\n}\n" % (before, body, value)


def swap(what, value, text, one, other, flags=(), verdict=CHANGE, **more):
    """@text stands before the function, with @one or @other for its %s. @more: files, h_h for h.h."""
    more = {name.replace("_", "."): content for name, content in more.items()}
    return (verdict, what, dict(more, **{"train.c": program(value, text % one)}),
            dict(more, **{"train.c": program(value, text % other)}), flags)


def beside(what, value, text, file, content, one, other, flags=(), verdict=CHANGE, **more):
    """The same, where @content of another @file changes."""
    more = dict({name.replace("_", "."): content for name, content in more.items()}, **{"train.c": program(value, text)})
    return verdict, what, dict(more, **{file: content % one}), dict(more, **{file: content % other}), flags


def order(what, value, *lines, flags=(), verdict=CHANGE):
    """The last two of @lines change places."""
    *first, a, b = [line + "\n" for line in lines]
    return (verdict, what, {"train.c": program(value, "".join(first) + a + b)},
            {"train.c": program(value, "".join(first) + b + a)}, flags)


USE = "static int f(void) { return K; }"
TWICE = 'static const int a[] = {\n#include "d.inc"\n};\nstatic const int b[] = {\n#include "d.inc"\n};\n'
NAMES = ('#define X(n) n,\nenum {\n#include "d.inc"\n};\n#undef X\n#define X(n) #n,\nstatic const char *names[] = {\n'
         '#include "d.inc"\n};\n#undef X\n')
VALUES = 'enum {\n#define X(n, v) n = v,\n#include "d.inc"\n#undef X\n};\n'
TEMPLATE = ('#define T %s\n#define N(x) x##_i\n#include "d.inc"\n#undef T\n#undef N\n'
            '#define T %s\n#define N(x) x##_f\n#include "d.inc"\n#undef T\n#undef N\n')
TEXT = "#define TEXT(x) sizeof #x\n#define LATE(x) TEXT(x)\n"
ASSERT = '#include <assert.h>\n#include "h.h"\n'
H = "int f(void);\nint g(void);\nextern int x;\n"
G = '#include "h.h"\nint g(void) { return 1; }\n'
WEAK = '#include "h.h"\n__attribute__((weak)) int f(void) { return 2; }\nint g(void) { return f(); }\n'

PAIRS = [
    # ---- which of several #defines a name has
    order("a macro is another one behind its user", "f()", "#define K 1", "#undef K\n#define K 2", USE),
    order("a macro is gone behind its user", "f()", "static int K = 5;\n#define K 1", "#undef K", USE),
    order("a macro begins behind its user", "f()", "static int K = 5;", "#define K 1", USE),
    order("a macro of a macro is another one", "f()", "#define J 1\n#define K J", "#undef J\n#define J 2", USE),
    order("a macro is pushed and popped", "f()", '#define K 1\n#pragma push_macro("K")\n#undef K\n#define K 2',
          '#pragma pop_macro("K")', USE),
    swap("a macro that changes within a function", "f()", "#define K 1\nstatic int f(void)\n{\n%s\n\treturn a + K;\n}\n",
         "\tint a = K;\n#undef K\n#define K 2", "#undef K\n#define K 2\n\tint a = K;"),
    swap("an #undef of what a flag defines", "f()", "%s\nint f(void)\n{\n#ifdef K\n\treturn 1;\n#endif\n\treturn 2;\n}\n", "",
         "#undef K", ["-DK"]),
    swap("an #undef of a flag's name that is a variable then", "K", "static int J = 4;\n%s\n", "",
         "#undef K\nstatic int K = 3;", ["-DK=J"]),
    order("asserts are off behind <assert.h>", "0", "#define NDEBUG", "#include <assert.h>"),
    swap("asserts are on again", "0", "%s\n#include <assert.h>\n", "", "#undef NDEBUG", ["-DNDEBUG"]),
    (CHANGE, "a macro for the system's headers behind them", {"train.c": "#define _GNU_SOURCE\n" + program("0", "")},
     {"train.c": program("0", "#define _GNU_SOURCE\n")}, ()),
    swap("functions that <tgmath.h> makes others", "sqrt(2.0f) > 1.41421356", "#include <%s.h>\n", "math", "tgmath"),
    order("functions in another order", "f() + g()", "static int f(void) { return 1; }", "static int g(void) { return 2; }",
          verdict=KEEP),
    order("macros in another order", "K + J", "#define K 1", "#define J 2", verdict=KEEP),

    # ---- names of pieces
    swap("a macro whose name is pasted", "PICK(FAST)", "#define PICK(n) OPT_##n\n#define OPT_FAST %d\n", 3, 4),
    swap("a macro of which both pieces are free", "CAT(OPT_, FAST)", "#define CAT(a, b) a##b\n#define OPT_FAST %d\n", 3, 4),
    swap("a macro with a number in its pasted name", "CAT(OPT_, 1)", "#define CAT(a, b) a##b\n#define OPT_1 %d\n", 3, 4),
    swap("a macro of three pieces", "CAT(OPT, FAST)", "#define CAT(a, b) a##_##b\n#define OPT_FAST %d\n", 3, 4),
    swap("a macro that is pasted twice", "CAT(CAT(A, B), C)", "#define CAT_(a, b) a##b\n#define CAT(a, b) CAT_(a, b)\n#define ABC %d\n",
         3, 4),
    swap("a macro that no pieces make", "PICK(FAST)", "#define PICK(n) OPT_##n\n#define OPT_FAST 1\n#define OPT_SLOW %d\n", 3, 4,
         verdict=KEEP),
    swap("a function in a pasted attribute", "f()", "static void drop_x(int *p) { *p = %d; }\n"
         "#define CLEAN(n) __attribute__((cleanup(drop_##n)))\nstatic int f(void) { CLEAN(x) int i = 1; return i; }\n", 1, 2),
    swap("an enumerator in a pasted attribute", "f()", "enum { AL_X = %d };\n#define AL(n) AL_##n\n"
         "static int f(void) { __attribute__((aligned(AL(X)))) char c[64]; return (long)c & 16; }\n", 8, 16),
    swap("a type whose name is pasted", "f()", "#define S(n) struct n##_s\nstruct b_s { %s x; };\n"
         "static int f(void) { _Alignas(S(b)) char c[64]; return (long)c & 8; }\n", "int", "long"),
    swap("a function in an attribute, and a member of its name", "f()", "static void x(int *p) { *p = %d; }\nstatic int f(void)\n{\n"
         "\tstruct { int x; } s = {0};\n\t__attribute__((cleanup(x))) int i = s.x;\n\treturn i;\n}\n", 1, 2),

    # ---- files that are included in the middle, and many times
    beside("data of a second array", "b[0]", TWICE, "d.inc", "1, %d\n", 2, 3),
    beside("data of an array in a function", "f()", TWICE + "static int f(void)\n{\n\tstatic int c[] = {\n"
           '#include "d.inc"\n};\n\treturn c[1];\n}\n', "d.inc", "1, %d\n", 2, 3),
    beside("a list of names that only texts are made of", "names[0][0]", NAMES, "d.inc", "X(A)\nX(%s)\n", "B", "C"),
    beside("data of a file that a macro names", "a[0]", '#define HERE "d.inc"\nstatic int a[] = {\n#include HERE\n};\n', "d.inc",
           "%d\n", 1, 2),
    beside("a header that is a template", "half_f(3) > 1", TEMPLATE % ("int", "float"), "d.inc",
           "static T N(half)(T x) { return x / %d; }\n", 2, 3),
    swap("what a template is made for", "half_f(3) > 1", TEMPLATE, ("int", "float"), ("float", "int"),
         d_inc="static T N(half)(T x) { return x / 2; }\n"),    beside("data of a file that another one includes", "a[0]", 'static int a[] = {\n#include "a.inc"\n};\n', "d.inc", "%d\n", 1, 2,
           a_inc='#include "d.inc"\n'),
    beside("a variable that ends in a file of its own", "a[0]", 'static int a[] =\n#include "d.inc"\n', "d.inc", "{%d};\n", 1, 2),
    swap("the order of headers of which the first one decides", "K", '%s\n', '#include "a.h"\n#include "b.h"', '#include "b.h"\n#include "a.h"',
         a_h="#ifndef K\n#define K 1\n#endif\n", b_h="#ifndef K\n#define K 2\n#endif\n"),
    swap("the order of headers that do not meet", "K + J", '%s\n', '#include "a.h"\n#include "b.h"', '#include "b.h"\n#include "a.h"',
         a_h="#define K 1\n", b_h="#define J 2\n", verdict=KEEP),

    (CHANGE, "asserts are off in another source", {"h.h": H, "h.c": ASSERT + "int g(void) { assert(0); return 1; }\n",
     "train.c": program("g() + s()", "#define NDEBUG\n" + ASSERT + "static int s(void) { assert(0); return 1; }\n")},
     {"h.h": H, "h.c": "#define NDEBUG\n" + ASSERT + "int g(void) { assert(0); return 1; }\n",
      "train.c": program("g() + s()", ASSERT + "static int s(void) { assert(0); return 1; }\n")}, ()),

    # ---- what only another declaration says
    swap("the size of an array", "sizeof a", "extern int a[%d];\nint a[];\n", 3, 4),
    swap("the prototype of an old definition", "f(3.7)", "static int f(%s);\nstatic int f(x) int x; { return x; }\n", "int", ""),

    # ---- texts that macros make
    swap("blanks in a macro that becomes a text", "f()", TEXT + "#define V 1%s+1\nstatic int f(void) { return LATE(V); }\n", "", " "),
    swap("blanks in a macro of a macro that becomes a text", "f()", TEXT + "#define W 1%s+1\n#define V W\n"
         "static int f(void) { return LATE(V); }\n", "", " "),
    swap("blanks in a macro whose name becomes a text", "f()", TEXT + "#define V 1%s+1\nstatic int f(void) { return TEXT(V); }\n",
         "", " ", verdict=KEEP),
    swap("a comment where it is a blank of a text", "f()", TEXT + "static int f(void) { return TEXT(1%s+1); }\n", "", "/**/"),
    swap("blanks at the ends of a text", "f()", TEXT + "static int f(void) { return TEXT(%s); }\n", "1", " 1 ", verdict=KEEP),
    swap("blanks behind a comma of a text", "f()", "#define ALL(...) sizeof #__VA_ARGS__\nstatic int f(void) { return ALL(1,%s2); }\n",
         "", " "),
    swap("blanks in what a macro gets that is an argument", "f()", TEXT + "#define CALL(m, x) m(x)\n"
         "static int f(void) { return CALL(TEXT, 1%s+1); }\n", "", " "),

    # ---- what the compiler defines
    swap("code for the optimiser", "f()", "static int f(void)\n{\n#ifdef __OPTIMIZE__\n\treturn %d;\n#endif\n\treturn 3;\n}\n", 1, 2),
    swap("code for a flag", "f()", "static int f(void)\n{\n#if __FINITE_MATH_ONLY__\n\treturn %d;\n#endif\n\treturn 3;\n}\n", 1, 2,
         ["-ffinite-math-only"]),

    # ---- what nobody names
order("two constructors", "x", "static int x;", "__attribute__((constructor)) static void a(void) { x = 1; }",
          "__attribute__((constructor)) static void b(void) { x = 2; }"),
    swap("a constructor that only a declaration says to be one", "x", "static int x;\nstatic void a(void) "
         "__attribute__((constructor));\nstatic void a(void) { x = %d; }\n", 1, 2),
    swap("a constructor that a macro makes", "x", "static int x;\n#define INIT __attribute__((constructor))\n"
         "INIT static void a(void) { x = %d; }\n", 1, 2),
    swap("a function in a section that is run", "x", "static int x;\nstatic void a(void) { x = %d; }\n"
         '__attribute__((section(".init_array"), used)) static void (*p)(void) = a;\n', 1, 2),
    swap("an entry of a table that is a section", "0", '__attribute__((section("tests"), used)) static int entry = %d;\n', 1, 2),
    swap("a function that an asm calls", "f()", 'int h(void) { return %d; }\nstatic int f(void)\n{\n'
         '\t__asm__ volatile("call h");\n\treturn 0;\n}\n', 1, 2),
    swap("what the loader chooses", "f()", "static int a(void) { return %d; }\nstatic void *r(void) { return (void *)a; }\n"
         'int f(void) __attribute__((ifunc("r")));\n', 1, 2),
    swap("a function of another name for the linker", "f()", 'int a(void) { return %d; }\nint f(void) __asm__("a");\n', 1, 2),

    # ---- a type of which another file has a part
    beside("the value of an enumerator that an included line has", "B", VALUES, "d.inc", "X(A, 1)\nX(B, %d)\n", 1, 2),
    beside("an enumerator before it in the included lines", "B", "enum {\n#define X(n) n,\n#include \"d.inc\"\n#undef X\n};\n",
           "d.inc", "X(A)\n%sX(B)\n", "", "X(C)\n"),
    beside("the layout of included lines of an enum", "B", VALUES, "d.inc", "X(A, 1)%sX(B, 1)\n", "\n", "  /* and */\n\n", verdict=KEEP),
    beside("a struct in included lines of a struct", "(int)sizeof(struct in)", 'struct out {\n#include "d.inc"\n};\n', "d.inc",
           "struct in { char c[%d]; } in;\nint x;\n", 1, 2),

    # ---- what a library of several sources has once
    beside("a function instead of a weak one here", "f() + g()", '#include "h.h"\n__attribute__((weak)) int f(void) { return 1; }\n',
           "h.c", G + "int f(void) { return %d; }\n", 2, 3, h_h=H),
    swap("a function instead of a weak one elsewhere", "g()", '#include "h.h"\n%s\n', "", "int f(void) { return 5; }", h_h=H, h_c=WEAK),
    beside("a variable that gets its value elsewhere", "x + g()", '#include "h.h"\nint x;\n', "h.c", G + "int x = %d;\n", 5, 6,
           ["-fcommon"], h_h=H),
    beside("a function instead of the C library's", "getpid() + g()", '#include "h.h"\n#include <unistd.h>\n', "h.c", G + "%s\n", "",
           "int getpid(void) { return 5; }", h_h=H),
    beside("a function elsewhere that has the name of a local", "f() + g()",
           '#include "h.h"\nint f(void) { int count = 1; return count; }\n', "h.c", G + "int count(void) { return %d; }\n", 5, 6, h_h=H, verdict=KEEP),
]
