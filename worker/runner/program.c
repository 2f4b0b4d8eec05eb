/* program.c - see program.h. */
#include "worker/runner/program.h"

#include "common/names.h"
#include "common/pure/mem.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *in_folder(const char *folder, size_t size, const char *language)
{
	char *path;
	if (asprintf(&path, "%.*s/cashet-runner-%s", (int)size, folder, language) < 0)
		abort();
	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static char *beside_us(const char *language)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n <= 0)
		return NULL;
	self[n] = '\0';
	const char *slash = strrchr(self, '/');
	return slash ? in_folder(self, (size_t)(slash - self), language) : NULL;
}

static char *in_path(const char *language)
{
	const char *at = getenv("PATH");
	while (at && *at) {
		size_t size = strcspn(at, ":");
		char *found = size && *at == '/' ? in_folder(at, size, language) : NULL;
		if (found)
			return found;
		at += size + (at[size] == ':');
	}
	return NULL;
}

char *program_find(const char *language, struct err *e)
{
	const char *folder = getenv("CASHET_RUNNER_PATH");
	if (!names_valid(language, false)) {
		err_set(e, ERR_USAGE, "\"%.100s\" is not the name of a language",
			language);
		return NULL;
	}
	if (folder && *folder) {
		char *path = in_folder(folder, strlen(folder), language);
		if (!path)
			err_set(e, ERR_NOT_FOUND,
				"this worker cannot run functions in %s: there is no "
				"cashet-runner-%s in %s ($CASHET_RUNNER_PATH)",
				language, language, folder);
		return path;
	}
	char *path = beside_us(language);
	if (!path)
		path = in_path(language);
	if (!path)
		err_set(e, ERR_NOT_FOUND,
			"this worker cannot run functions in %s: cashet-runner-%s is "
			"neither beside cashet-worker nor in its PATH; install it there",
			language, language);
	return path;
}

char *program_cache(const char *fallback)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char *path;
	int n;
	if (cache && cache[0] == '/')
		n = asprintf(&path, "%s/cashet/libraries", cache);
	else if (home && home[0] == '/')
		n = asprintf(&path, "%s/.cache/cashet/libraries", home);
	else
		n = asprintf(&path, "%s", fallback);
	if (n < 0)
		abort();
	return path;
}
