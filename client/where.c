/* where.c - see where.h. */
#include "client/where.h"

#include "proto/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_STORE ".cashet"

static const char *first_of(const char *option, const char *variable,
			    const char *option_name, const char **said_by)
{
	if (option && *option) {
		*said_by = option_name;
		return option;
	}
	const char *value = getenv(variable);
	*said_by = variable;
	return value && *value ? value : NULL;
}

/* Absolute, since a broker that is started later runs elsewhere; it need not exist yet. */
static char *absolute(const char *path)
{
	char *out = NULL;
	if (path[0] == '/')
		return strdup(path);
	char *here = getcwd(NULL, 0);
	if (!here)
		return NULL;
	while (path[0] == '.' && path[1] == '/')
		path += 2;
	if (asprintf(&out, "%s/%s", strcmp(here, "/") == 0 ? "" : here, path) < 0)
		out = NULL;
	free(here);
	return out;
}

int where_resolve(struct where *w, const char *broker, const char *store, struct err *e)
{
	struct where found = {0};
	const char *url = first_of(broker, "CASHET_BROKER", "--broker", &found.said_by);
	if (url) {
		int r = endpoint_check(url, e);
		if (r)
			return r;
		found.url = strdup(url);
	} else {
		const char *dir =
			first_of(store, "CASHET_DIR", "--store", &found.said_by);
		if (!dir) {
			dir = DEFAULT_STORE;
			found.said_by = "the default";
		}
		errno = 0;
		found.dir = absolute(dir);
	}
	if (!found.url && !found.dir)
		return err_set(e, ERR_FAILED, "the current directory cannot be read: %s",
			       strerror(errno ? errno : ENOMEM));
	*w = found;
	return 0;
}

void where_fini(struct where *w)
{
	if (!w)
		return;
	free(w->url);
	free(w->dir);
	*w = (struct where){0};
}
