/* libraries.c - see libraries.h. The name of a library that prepare made ends in -DIGEST.so: what another
 * program has written into it since is not opened. */
#include "runners/c/serve/libraries.h"

#include "common/fs.h"
#include "common/json_read.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "runners/c/serve/quiet.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LIBRARY_MAX (256u << 20)
#define NAME_END 68 /* bytes of -DIGEST.so */

static void library_free(struct library *lib)
{
	if (!lib)
		return;
	/* Never closed: what it registered (atexit(), thread keys) points into it. */
	free(lib->path);
	free(lib->name);
	buf_fini(&lib->problem);
	free(lib);
}

void libraries_fini(struct libraries *l)
{
	for (size_t i = 0; i < l->count; i++)
		library_free(l->list[i]);
	free(l->list);
}

static void problem(struct library *lib, const char *kind, const char *text)
{
	if (lib->problem.size)
		return;
	lib->kind = kind;
	buf_add_str(&lib->problem, text);
}

static bool is(const struct json_token *t, const char *text)
{
	return t->size == strlen(text) && !memcmp(t->text, text, t->size);
}

static int read_field(struct library *lib, struct json_reader *r,
		      const struct json_token *key)
{
	char **to = is(key, "library") ? &lib->path : is(key, "name") ? &lib->name : NULL;
	bool packages = is(key, "packages");
	struct json_token value;
	if (json_next(r, &value))
		return 1;
	if (to && value.type == JSON_STRING && !*to) {
		*to = mem_alloc(value.size + 1);
		memcpy(*to, value.text, value.size);
		return 0;
	}
	if (packages && value.type == JSON_ARRAY) {
		if (json_next(r, &value))
			return 1;
		if (value.type == JSON_END_ARRAY)
			return 0;
		problem(lib, "refused",
			"this machine has no packages of C; the source names some");
		return 1;
	}
	return json_skip(r, &value);
}

static void read_load(struct library *lib, struct frame_bytes json)
{
	struct json_reader r;
	struct json_token t;
	json_reader_init(&r, json.data, json.size);
	int status = json_next(&r, &t) || t.type != JSON_OBJECT;
	while (!status && !(status = json_next(&r, &t)) && t.type == JSON_KEY)
		status = read_field(lib, &r, &t);
	json_reader_fini(&r);
	if (status)
		problem(lib, "load",
			"the worker's description of the source cannot be read");
	else if (!lib->path || !lib->name)
		problem(lib, "load", "the worker named no library, or no function");
}

void libraries_load(struct libraries *l, const struct frame_load *load)
{
	struct library *lib = mem_alloc(sizeof *lib);
	lib->number = load->number;
	read_load(lib, load->json);
	for (size_t i = 0; i < l->count; i++) {
		if (l->list[i]->number != load->number)
			continue;
		library_free(l->list[i]);
		l->list[i] = lib;
		return;
	}
	mem_grow(l->list, l->count, l->capacity);
	l->list[l->count++] = lib;
}

/* verify() - are its bytes those that its name says? Names of another form say nothing. */
static bool verify(struct library *lib)
{
	CLEANUP_BUF struct buf bytes = {0};
	uint8_t want[DIGEST_SIZE], found[DIGEST_SIZE];
	char hex[HEX_DIGEST_SIZE];
	size_t size = strlen(lib->path);
	const char *end = size > NAME_END ? lib->path + size - NAME_END : "";
	if (end[0] != '-' || strcmp(end + NAME_END - 3, ".so"))
		return true;
	memcpy(hex, end + 1, HEX_DIGEST_SIZE - 1);
	hex[HEX_DIGEST_SIZE - 1] = '\0';
	if (hex_decode(want, sizeof want, hex))
		return true;
	if (fs_read_file(lib->path, LIBRARY_MAX, &bytes) < 0) {
		problem(lib, "load", "the compiled library cannot be read");
		return false;
	}
	sha256_digest(bytes.data, bytes.size, found);
	if (!memcmp(want, found, sizeof want)) {
		utimensat(AT_FDCWD, lib->path, NULL, 0); /* it is used: cache.h */
		return true;
	}
	problem(lib, "load", "the compiled library was changed since it was built");
	return false;
}

static void open_library(struct library *lib)
{
	if (!verify(lib))
		return;
	quiet_distrust();
	lib->handle = dlopen(lib->path, RTLD_NOW | RTLD_LOCAL);
	void *symbol = lib->handle ? dlsym(lib->handle, lib->name) : NULL;
	if (symbol) {
		memcpy(&lib->function, &symbol, sizeof symbol);
		return;
	}
	const char *why = dlerror();
	problem(lib, "load", why ? why : "the library has no such function");
}

struct library *libraries_open(struct libraries *l, uint32_t number, bool *openedp)
{
	*openedp = false;
	for (size_t i = l->count; i-- > 0;) {
		struct library *lib = l->list[i];
		if (lib->number != number)
			continue;
		if (!lib->function && !lib->problem.size) {
			open_library(lib);
			*openedp = true;
		}
		return lib;
	}
	return NULL;
}
