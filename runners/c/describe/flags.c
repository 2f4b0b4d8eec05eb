/* flags.c - see flags.h. To allow one more: a row of a table. */
#include "runners/c/describe/flags.h"

#include "common/pure/mem.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Behind -f, without no-; those that end in = take a value. */
static const char *const code_flags[] = {
	"aggressive-loop-optimizations",
	"align-functions",
	"align-loops",
	"associative-math",
	"builtin",
	"common",
	"cx-fortran-rules",
	"cx-limited-range",
	"data-sections",
	"delete-null-pointer-checks",
	"errno-math",
	"exceptions",
	"excess-precision=",
	"fast-math",
	"finite-math-only",
	"fp-contract=",
	"fp-model=",
	"function-sections",
	"inline",
	"inline-functions",
	"inline-limit=",
	"ivopts",
	"math-errno",
	"merge-constants",
	"omit-frame-pointer",
	"openmp",
	"openmp-simd",
	"pack-struct=",
	"peel-loops",
	"plt",
	"prefetch-loop-arrays",
	"reciprocal-math",
	"rounding-math",
	"short-enums",
	"signaling-nans",
	"signed-bitfields",
	"signed-char",
	"signed-zeros",
	"single-precision-constant",
	"slp-vectorize",
	"split-loops",
	"stack-protector",
	"stack-protector-strong",
	"strict-aliasing",
	"strict-overflow",
	"trapping-math",
	"trapv",
	"tree-loop-vectorize",
	"tree-slp-vectorize",
	"tree-vectorize",
	"unroll-all-loops",
	"unroll-loops",
	"unsafe-math-optimizations",
	"unsigned-bitfields",
	"unsigned-char",
	"unswitch-loops",
	"unwind-tables",
	"vect-cost-model=",
	"vectorize",
	"wrapv",
	"zero-initialized-in-bss",
};

static const char *const whole_flags[] = {
	"-O",	 "-O0",	   "-O1",   "-O2",	"-O3",	     "-Os",
	"-Og",	 "-Ofast", "-Oz",   "-g",	"-g0",	     "-g1",
	"-g2",	 "-g3",	   "-ggdb", "-pthread", "-pedantic", "-pedantic-errors",
	"-ansi", "-w",
};

static const char *const system_libraries[] = {"m",	 "c",	 "dl",	"pthread",
					       "rt",	 "gomp", "omp", "quadmath",
					       "atomic", "gcc",	 "mvec"};

void flags_fini(struct flags *f)
{
	for (size_t i = 0; i < f->count; i++)
		free((char *)(uintptr_t)f->list[i]);
	for (size_t i = 0; i < f->folder_count; i++)
		free((char *)(uintptr_t)f->folders[i]);
	free(f->list);
	free(f->folders);
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static bool only(const char *text, const char *letters)
{
	return text[0] && text[strspn(text, letters)] == '\0';
}

#define ALPHA "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool is_code_flag(const char *text)
{
	if (begins(text, "no-"))
		text += 3;
	for (size_t i = 0; i < ARRAY_LEN(code_flags); i++) {
		size_t size = strlen(code_flags[i]);
		bool value = code_flags[i][size - 1] == '=';
		if (value ? begins(text, code_flags[i]) &&
				    only(text + size, ALPHA DIGITS "-")
			  : !strcmp(text, code_flags[i]))
			return true;
	}
	return false;
}

static bool is_name(const char *text)
{
	size_t size = strspn(text, ALPHA DIGITS "_");
	return size > 0 && !(text[0] >= '0' && text[0] <= '9') &&
	       (text[size] == '\0' || text[size] == '=' || text[size] == '(');
}

static bool is_allowed(const char *flag)
{
	for (size_t i = 0; i < ARRAY_LEN(whole_flags); i++)
		if (!strcmp(flag, whole_flags[i]))
			return true;
	if (begins(flag, "-D") || begins(flag, "-U"))
		return is_name(flag + 2);
	if (begins(flag, "-std="))
		return only(flag + 5, ALPHA DIGITS ":");
	if (begins(flag, "-f"))
		return is_code_flag(flag + 2);
	if (begins(flag, "-mllvm") || begins(flag, "-m32") || begins(flag, "-mx32") ||
	    begins(flag, "-m16") || begins(flag, "-mlinker") || begins(flag, "-mspecs"))
		return false;
	if (begins(flag, "-m"))
		return only(flag + 2, ALPHA DIGITS "-+.=_");
	if (begins(flag, "-l")) /* -load is another option of some */
		return !begins(flag, "-load") && only(flag + 2, ALPHA DIGITS "-+._");
	if (begins(flag, "-W"))
		return only(flag + 2,
			    ALPHA DIGITS "-+="); /* no comma: -Wl,... is for others */
	return false;
}

static void note_library(struct flags *f, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(system_libraries); i++)
		if (!strcmp(name, system_libraries[i]))
			return;
	f->links_others = true;
}

static void add(struct flags *f, const char *flag)
{
	mem_grow(f->list, f->count, f->capacity);
	f->list[f->count++] = mem_strdup(flag);
}

/* add_folder() - -I DIR, made absolute: of the first root that has it. */
static int add_folder(struct flags *f, const char *dir, const char *const *roots,
		      size_t root_count, struct buf *problem)
{
	char path[PATH_MAX], real[PATH_MAX + 2] = "-I";
	struct stat st;
	for (size_t i = 0; dir[0] && dir[0] != '/' && i < root_count; i++) {
		int size = snprintf(path, sizeof path, "%s/%s", roots[i], dir);
		if (size >= (int)sizeof path || !realpath(path, real + 2) ||
		    stat(real + 2, &st) || !S_ISDIR(st.st_mode))
			continue;
		mem_grow(f->folders, f->folder_count, f->folder_capacity);
		f->folders[f->folder_count++] = mem_strdup(real + 2);
		add(f, real);
		return 0;
	}
	if (dir[0] == '/')
		buf_printf(problem,
			   "-I%s: workers do not have this folder; name one beside the "
			   "source, as a relative path",
			   dir);
	else
		buf_printf(problem, "-I%s: there is no such folder beside the source",
			   dir);
	return 1;
}

int flags_add(struct flags *f, const char *flag, const char *const *roots,
	      size_t root_count, struct buf *problem)
{
	for (const char *at = flag; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			flag = "";
	if (begins(flag, "-I"))
		return add_folder(f, flag + 2, roots, root_count, problem);
	if (!is_allowed(flag)) {
		buf_printf(problem,
			   "the flag %s is not one that a task may have: -D, -U, -I DIR "
			   "(as -IDIR), -O, "
			   "-std=, -m, -W, -g, -l, -pthread and -f for the code that is "
			   "generated are",
			   *flag ? flag : "with a line end or another control character");
		return 1;
	}
	if (begins(flag, "-l"))
		note_library(f, flag + 2);
	if (begins(flag, "-std=") || !strcmp(flag, "-ansi"))
		f->trigraphs = !begins(flag, "-std=gnu");
	add(f, flag);
	return 0;
}

bool flags_is_identity(const char *flag)
{
	return !begins(flag, "-I");
}

bool flags_is_parsed(const char *flag)
{
	return begins(flag, "-D") || begins(flag, "-U") || begins(flag, "-I") ||
	       begins(flag, "-std=") || begins(flag, "-O") || begins(flag, "-m") ||
	       !strcmp(flag, "-ansi") || !strcmp(flag, "-pthread") ||
	       !strcmp(flag, "-ffast-math") || !strcmp(flag, "-fopenmp") ||
	       !strcmp(flag, "-fsigned-char") || !strcmp(flag, "-funsigned-char") ||
	       !strcmp(flag, "-fno-signed-char") || !strcmp(flag, "-fno-unsigned-char") ||
	       !strcmp(flag, "-ffinite-math-only") || !strcmp(flag, "-fno-math-errno") ||
	       begins(flag, "-fstack-protector") || !strcmp(flag, "-fshort-enums");
}
