/* program.c - see program.h. */
#include "client/program.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool can_run(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static char *in_folder(const char *folder, size_t size, const char *name)
{
	char *path = NULL;
	if (asprintf(&path, "%.*s/%s", (int)size, folder, name) < 0)
		return NULL;
	if (can_run(path))
		return path;
	free(path);
	return NULL;
}

char *program_in_folder(const char *folder, const char *name)
{
	return in_folder(folder, strlen(folder), name);
}

/* @folder: of the program, from the folder of @file: "", "../bin". */
static char *beside(const char *file, const char *folder, const char *name)
{
	const char *slash = strrchr(file, '/');
	char *path = NULL;
	if (!slash || asprintf(&path, "%.*s/%s%s%s", (int)(slash - file), file, folder,
			       *folder ? "/" : "", name) < 0)
		return NULL;
	if (can_run(path))
		return path;
	free(path);
	return NULL;
}

static char *of_library(const char *name)
{
	static const char *const folders[] = {"", "../bin", "../../bin"};
	Dl_info info;
	if (!dladdr((const void *)program_find, &info) || !info.dli_fname)
		return NULL;
	char *real = realpath(info.dli_fname, NULL), *path = NULL;
	for (size_t i = 0; real && !path && i < sizeof folders / sizeof *folders; i++)
		path = beside(real, folders[i], name);
	free(real);
	return path;
}

char *program_in_path(const char *name)
{
	const char *at = getenv("PATH");
	while (at && *at) {
		size_t size = strcspn(at, ":");
		char *path = size ? in_folder(at, size, name) : NULL;
		if (path && *path != '/') { /* of a relative entry: folders may change */
			char *whole = realpath(path, NULL);
			free(path);
			path = whole;
		}
		if (path)
			return path;
		at += size + (at[size] == ':');
	}
	return NULL;
}

char *program_find(const char *name)
{
	char exe[4096];
	ssize_t size = readlink("/proc/self/exe", exe, sizeof exe - 1);
	char *path = NULL;
	if (size > 0) {
		exe[size] = '\0';
		path = beside(exe, "", name);
	}
	if (!path)
		path = of_library(name);
	return path ? path : program_in_path(name);
}

char *program_of_runner(const char *name)
{
	const char *folder = getenv("CASHET_RUNNER_PATH");
	if (!folder || !*folder)
		return program_find(name);
	char *real = realpath(folder, NULL);
	char *path = real ? program_in_folder(real, name) : NULL;
	free(real);
	return path;
}
