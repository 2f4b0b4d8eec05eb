/* clang.c - see clang.h. */
#include "runners/c/describe/clang.h"

#include "common/pure/base.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct clang clang;

#ifndef CLANG_LIBRARY
#define CLANG_LIBRARY "libclang.so.1"
#endif

/* The one of the build first; then any: what is used of it has not changed for years. */
static const char *const libraries[] = {
	CLANG_LIBRARY,	    "libclang-14.so.1", "libclang.so.1",    "libclang-15.so.1",
	"libclang-16.so.1", "libclang-17.so.1", "libclang-18.so.1", "libclang-19.so.1",
	"libclang-13.so.1", "libclang.so",
};

static void *open_any(void)
{
	for (size_t i = 0; i < ARRAY_LEN(libraries); i++) {
		void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_LOCAL);
		if (library)
			return library;
	}
	return NULL;
}

static bool is_folder(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* find_resources() - LIBRARY'S FOLDER/clang/VERSION, which it does not find itself when it was opened
 * through a link from another folder. */
static void find_resources(const char *number)
{
	Dl_info info;
	char pattern[PATH_MAX + 64];
	char real[PATH_MAX];
	glob_t found;
	void *symbol;
	memcpy(&symbol, &clang.createIndex, sizeof symbol);
	if (!dladdr(symbol, &info) || !realpath(info.dli_fname, real))
		return;
	snprintf(clang.path, sizeof clang.path, "%s", real);
	char *slash = strrchr(real, '/');
	if (!slash)
		return;
	*slash = '\0';
	snprintf(pattern, sizeof pattern, "%s/clang/%s*/include", real, number);
	if (glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc > 0 &&
	    is_folder(found.gl_pathv[0]) &&
	    strlen(found.gl_pathv[0]) < sizeof clang.resources) {
		strcpy(clang.resources, found.gl_pathv[0]);
		*strrchr(clang.resources, '/') = '\0';
	}
	globfree(&found);
}

/* read_version() - "14.0.6" of "Debian clang version 14.0.6". */
static void read_version(void)
{
	CXString text = clang.getClangVersion();
	const char *at = strstr(clang.getCString(text), "version ");
	at = at ? at + strlen("version ") : "";
	size_t size = strspn(at, "0123456789.");
	snprintf(clang.version, sizeof clang.version, "%.*s", (int)size, at);
	clang.disposeString(text);
}

int clang_open(void)
{
	char major[16];
	void *library = open_any();
	if (!library)
		return 1;
#define X(name)                                                                          \
	{                                                                                \
		void *symbol = dlsym(library, "clang_" #name);                           \
		if (!symbol)                                                             \
			return 1;                                                        \
		memcpy(&clang.name, &symbol, sizeof symbol);                             \
	}
	CLANG_FUNCTIONS(X)
#undef X
	read_version();
	snprintf(major, sizeof major, "%.*s", (int)strspn(clang.version, "0123456789"),
		 clang.version);
	find_resources(major);
	return 0;
}
