/* unit.c - a translation unit: parsed by libclang, its files, and what is left out of them. */
#include "runners/c/describe/describer.h"

#include "common/pure/mem.h"
#include "runners/c/place.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what is the system's */

static const char *const system_folders[] = {"/usr/include/", "/usr/local/include/",
					     "/usr/lib/", "/usr/lib64/",
					     "/usr/local/lib/"};

static bool begins(const char *text, const char *with)
{
	return with[0] && !strncmp(text, with, strlen(with));
}

static bool is_system_path(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(system_folders); i++)
		if (begins(path, system_folders[i]))
			return true;
	return begins(path, clang.resources) || begins(path, place_include());
}

/* is_system() - a header of the user's may say of itself that it is the system's: it is not. */
static bool is_system(const struct unit *u, CXFile cx, const char *path, const char *data,
		      size_t size)
{
	if (is_system_path(path))
		return true;
	CXSourceLocation begin = clang.getLocationForOffset(u->tu, cx, 0);
	return clang.Location_isInSystemHeader(begin) &&
	       !memmem(data, size, "system_header", strlen("system_header"));
}

/* ---- paths, as the compiler wrote them but for "." and ".." */

static char *absolute(struct describer *d, const char *path)
{
	char cwd[PATH_MAX] = "";
	struct buf out = {0};
	if (path[0] != '/' && getcwd(cwd, sizeof cwd))
		buf_add_str(&out, cwd);
	while (*path) {
		size_t size = strcspn(path, "/");
		if (size == 2 && !strncmp(path, "..", 2)) {
			while (out.size > 0 && out.data[--out.size] != '/')
				continue;
		} else if (size > 0 && !(size == 1 && path[0] == '.')) {
			buf_add_byte(&out, '/');
			buf_add(&out, path, size);
		}
		path += size;
		path += *path == '/';
	}
	char *found = arena_copy(&d->arena, out.data, out.size);
	buf_fini(&out);
	return found;
}

/* ---- files */

uint32_t unit_file_of(const struct unit *u, CXFile cx)
{
	for (size_t i = 0; cx && i < u->file_count; i++)
		if (u->files[i].cx == cx)
			return (uint32_t)i + 1;
	for (size_t i = 0; cx && i < u->file_count; i++)
		if (clang.File_isEqual(u->files[i].cx, cx))
			return (uint32_t)i + 1;
	return 0;
}

static uint32_t add_file(struct unit *u, CXFile cx)
{
	mem_grow(u->files, u->file_count, u->file_capacity);
	u->files[u->file_count] = (struct unit_file){.cx = cx};
	return (uint32_t)++u->file_count;
}

static void add_included(struct unit *u, CXFile cx, CXSourceLocation *stack,
			 unsigned depth)
{
	uint32_t number = unit_file_of(u, cx);
	if (number) {
		u->files[number - 1].many = true;
		return;
	}
	number = add_file(u, cx);
	if (depth == 0)
		return;
	CXFile parent;
	unsigned offset;
	clang.getExpansionLocation(stack[0], &parent, NULL, NULL, &offset);
	uint32_t in = unit_file_of(u, parent);
	u->files[number - 1].parent = in ? in : add_file(u, parent);
	u->files[number - 1].at = offset;
}

static void included(CXFile cx, CXSourceLocation *stack, unsigned depth, CXClientData arg)
{
	struct unit *u = arg;
	CXFile parent;
	unsigned offset;
	add_included(u, cx, stack, depth);
	if (depth == 0)
		return;
	clang.getExpansionLocation(stack[0], &parent, NULL, NULL, &offset);
	mem_grow(u->inclusions, u->inclusion_count, u->inclusion_capacity);
	u->inclusions[u->inclusion_count++] =
		(struct inclusion){unit_file_of(u, cx), unit_file_of(u, parent), offset};
}

uint32_t unit_included(const struct unit *u, uint32_t file, uint32_t offset)
{
	const struct text *t = u->files[file].text;
	uint32_t hash = t->tokens[text_at(t, offset)].directive;
	for (size_t i = 0; hash && i < u->inclusion_count; i++)
		if (u->inclusions[i].parent == file + 1 &&
		    u->inclusions[i].at == t->tokens[hash - 1].start)
			return u->inclusions[i].file;
	return 0;
}

/* settle_parent() - from somewhere in the line of its #include to the # of that line. */
static void settle_parent(struct unit *u, uint32_t parent, uint32_t *at)
{
	const struct text *t = parent ? u->files[parent - 1].text : NULL;
	uint32_t hash = t ? t->tokens[text_at(t, *at)].directive : 0;
	if (hash)
		*at = t->tokens[hash - 1].start;
}

/* read_file() - the text of a file of the user's. Return: 0 or 1. */
static int read_file(struct unit *u, struct unit_file *f)
{
	CXString name = clang.getFileName(f->cx);
	const char *given = clang.getCString(name);
	char *path = absolute(u->d, given ? given : "");
	size_t size = 0;
	const char *data = clang.getFileContents(u->tu, f->cx, &size);
	clang.disposeString(name);
	if (!data || is_system(u, f->cx, path, data, size))
		return 0;
	if (!(f->text = text_get(u->d, path, data, size)))
		return 1;
	f->off = arena_alloc(&u->d->arena, f->text->count * sizeof *f->off);
	return 0;
}

/* leave_out() - the tokens of a file that are not compiled. Of one that is included many times that
 * differs, and all of them count. */
static void leave_out(struct unit *u, struct unit_file *f)
{
	if (f->many || !f->text)
		return;
	CXSourceRangeList *list = clang.getSkippedRanges(u->tu, f->cx);
	for (unsigned i = 0; list && i < list->count; i++) {
		unsigned start, end;
		clang.getExpansionLocation(clang.getRangeStart(list->ranges[i]), NULL,
					   NULL, NULL, &start);
		clang.getExpansionLocation(clang.getRangeEnd(list->ranges[i]), NULL, NULL,
					   NULL, &end);
		for (uint32_t k = text_at(f->text, start);
		     k < f->text->count && f->text->tokens[k].start < end; k++)
			f->off[k] = true;
	}
	if (list)
		clang.disposeSourceRangeList(list);
}

/* ---- parsing */

static int fail_diagnostic(struct unit *u, CXDiagnostic diagnostic)
{
	struct describer *d = u->d;
	CXString text = clang.getDiagnosticSpelling(diagnostic);
	const char *what = clang.getCString(text), *name = "syntax";
	CXFile cx;
	unsigned line, column, offset;
	clang.getExpansionLocation(clang.getDiagnosticLocation(diagnostic), &cx, &line,
				   &column, &offset);
	char *path = NULL;
	if (cx) {
		CXString file = clang.getFileName(cx);
		path = absolute(d, clang.getCString(file));
		clang.disposeString(file);
	}
	if (strstr(what, "file not found"))
		name = "include-not-found";
	else if (strstr(what, "nesting level"))
		name = "nested-too-deeply";
	else if (strstr(what, "byte order mark"))
		name = "encoding";
	size_t size = 0;
	const char *data = cx ? clang.getFileContents(u->tu, cx, &size) : NULL;
	if (data && offset <= size) {
		const struct text t = {.data = data, .size = size};
		column = describer_column(&t, offset);
	}
	describer_fail(d, name, path ? path : u->path, line, column, "%s", what);
	clang.disposeString(text);
	return 1;
}

static int check_diagnostics(struct unit *u)
{
	unsigned count = clang.getNumDiagnostics(u->tu);
	for (unsigned i = 0; i < count; i++) {
		CXDiagnostic diagnostic = clang.getDiagnostic(u->tu, i);
		bool bad = clang.getDiagnosticSeverity(diagnostic) >= CXDiagnostic_Error;
		if (bad)
			fail_diagnostic(u, diagnostic);
		clang.disposeDiagnostic(diagnostic);
		if (bad)
			return 1;
	}
	return 0;
}

/* look() - is it a file that can be read at all? */
static int look(struct describer *d, const char *path)
{
	struct stat st;
	if (stat(path, &st))
		return describer_fail(
			d,
			errno == ENOENT || errno == ENOTDIR ? "not-found"
							    : "not-readable",
			path, 0, 0, "%s",
			errno == ENOENT || errno == ENOTDIR ? "there is no such file"
							    : strerror(errno));
	if (!S_ISREG(st.st_mode))
		return describer_fail(d, "not-a-file", path, 0, 0, "it is no file");
	if (access(path, R_OK))
		return describer_fail(d, "not-readable", path, 0, 0, "%s",
				      strerror(errno));
	if ((uint64_t)st.st_size > C_TOKENS_SIZE_MAX)
		return describer_fail(d, "too-large", path, 0, 0,
				      "it is larger than %u MiB",
				      C_TOKENS_SIZE_MAX >> 20);
	return 0;
}

static int parse(struct unit *u)
{
	struct describer *d = u->d;
	const char **args = mem_alloc((d->flags->count + 16) * sizeof *args);
	char resources[sizeof clang.resources + 16];
	int count = 0;
	static const char *const fixed[] = {"-x",
					    "c",
					    "-std=gnu17",
					    "-O2", /* __OPTIMIZE__ is defined */
					    "-fPIC",
					    "-Wno-everything",
					    "-Werror=implicit-function-declaration",
					    "-isystem"};
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		args[count++] = fixed[i];
	args[count++] = place_include();
	if (clang.resources[0]) {
		snprintf(resources, sizeof resources, "-resource-dir=%s",
			 clang.resources);
		args[count++] = resources;
	}
	if (place_compiler_include()[0]) { /* what only the compiler has: omp.h */
		args[count++] = "-idirafter";
		args[count++] = place_compiler_include();
	}
	for (size_t i = 0; i < d->flags->count; i++)
		if (flags_is_parsed(d->flags->list[i]))
			args[count++] = d->flags->list[i];
	enum CXErrorCode code = clang.parseTranslationUnit2(
		d->index, u->path, args, count, NULL, 0,
		CXTranslationUnit_DetailedPreprocessingRecord, &u->tu);
	free(args);
	if (code == CXError_Crashed)
		return describer_fail(d, "nested-too-deeply", u->path, 0, 0,
				      "libclang crashed on it: it is nested too deeply");
	if (code != CXError_Success || !u->tu)
		return describer_fail(d, "not-readable", u->path, 0, 0,
				      "libclang cannot read it (error %d)", (int)code);
	return 0;
}

static int fill(struct unit *u)
{
	if (look(u->d, u->path) || parse(u))
		return 1;
	add_file(u, clang.getFile(u->tu, u->path));
	clang.getInclusions(u->tu, included, u);
	u->files[0].many = false; /* it was there twice: by us and by libclang */
	/* Bytes that no compiler is sure of, before what this one makes of them. */
	for (size_t i = 0; i < u->file_count; i++)
		if (read_file(u, &u->files[i]))
			return 1;
	if (check_diagnostics(u))
		return 1;
	for (size_t i = 0; i < u->file_count; i++) {
		settle_parent(u, u->files[i].parent, &u->files[i].at);
		leave_out(u, &u->files[i]);
	}
	for (size_t i = 0; i < u->inclusion_count; i++)
		settle_parent(u, u->inclusions[i].parent, &u->inclusions[i].at);
	if (macros_find(u))
		return 1;
	statements_find(u);
	order_statements(u);
	return 0;
}

struct unit *unit_get(struct describer *d, const char *path)
{
	for (size_t i = 0; i < d->unit_count; i++)
		if (!strcmp(d->units[i]->path, path))
			return d->units[i];
	struct unit *u = arena_alloc(&d->arena, sizeof *u);
	u->d = d;
	u->path = arena_copy(&d->arena, path, strlen(path));
	if (fill(u))
		return NULL;
	mem_grow(d->units, d->unit_count, d->unit_capacity);
	d->units[d->unit_count++] = u;
	return u;
}

bool unit_in_system(const struct unit *u, CXCursor cursor)
{
	CXFile cx;
	CXCursor first = clang.getCanonicalCursor(cursor);
	clang.getExpansionLocation(clang.getCursorLocation(first), &cx, NULL, NULL, NULL);
	uint32_t number = unit_file_of(u, cx);
	return number == 0 || !u->files[number - 1].text;
}
