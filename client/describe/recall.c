/* recall.c - see recall.h.
 *
 *	cashet calls 1
 *	KEY DIGEST-OF-THE-BODY SIZE-OF-THE-BODY
 *	BODY
 *	...
 *
 * A body begins with lines "f STAMP PATH", "d STAMP PATH", "a PATH" (file, folder, absent); an empty
 * line; the describer's version on a line; the row. What is used moves to the end; beyond FILE_MAX
 * the beginning goes. */
#include "client/describe/recall.h"

#include "client/batch/doc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/pure/hex.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "cashet calls 1\n"
#define FILE_MAX (32u << 20)
#define BODY_MAX (4u << 20)
#define SETTLE_NS (2 * NS_PER_S)
#define LINE_HEAD (2 * HEX_DIGEST_SIZE) /* two digests, a space behind each */

struct recall_entry {
	uint8_t key[DIGEST_SIZE], digest[DIGEST_SIZE];
	const char *body;
	size_t size;
	bool used; /* by this run */
};

struct recall_stamp {
	bool there, folder;
	uint64_t size, mtime, ctime, inode, device;
};

int recall_init(struct recall *r, const char *path)
{
	*r = (struct recall){.settle_ns = SETTLE_NS};
	return path && !(r->path = strdup(path)) ? -ENOMEM : 0;
}

void recall_fini(struct recall *r)
{
	free(r->path);
	free(r->entries);
	free(r->stamps);
	buf_fini(&r->file);
	arena_fini(&r->arena);
	arena_fini(&r->seen_arena);
	map_fini(&r->map);
	map_fini(&r->seen);
	*r = (struct recall){0};
}

/* ---- what files are now */

void recall_begin(struct recall *r)
{
	map_reset(&r->seen);
	arena_reset(&r->seen_arena);
	r->stamp_count = 0;
}

static uint64_t ns_of(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * NS_PER_S + (uint64_t)t->tv_nsec;
}

static struct recall_stamp stamp_now(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return (struct recall_stamp){0};
	bool folder = S_ISDIR(st.st_mode);
	return (struct recall_stamp){true,
				     folder,
				     folder ? 0 : (uint64_t)st.st_size,
				     ns_of(&st.st_mtim),
				     ns_of(&st.st_ctim),
				     st.st_ino,
				     st.st_dev};
}

/* stamp_of() - what @path is in this round. */
static struct recall_stamp stamp_of(struct recall *r, const char *path)
{
	uint32_t *number = map_find(&r->seen, path, strlen(path));
	if (number)
		return r->stamps[*number];
	struct recall_stamp stamp = stamp_now(path);
	if (r->stamp_count == r->stamp_capacity) {
		uint32_t capacity = r->stamp_capacity ? 2 * r->stamp_capacity : 64;
		struct recall_stamp *stamps =
			realloc(r->stamps, capacity * sizeof *stamps);
		if (!stamps)
			return stamp;
		r->stamps = stamps;
		r->stamp_capacity = capacity;
	}
	char *copy = arena_text(&r->seen_arena, path, strlen(path));
	if (copy && !map_put(&r->seen, copy, strlen(copy), r->stamp_count))
		r->stamps[r->stamp_count++] = stamp;
	return stamp;
}

static bool same(const struct recall_stamp *a, const struct recall_stamp *b)
{
	return a->there == b->there && a->folder == b->folder && a->size == b->size &&
	       a->mtime == b->mtime && a->ctime == b->ctime && a->inode == b->inode &&
	       a->device == b->device;
}

/* holds_line() - "f STAMP PATH", "d ...", "a PATH", without its line end. */
static bool holds_line(struct recall *r, const char *line)
{
	struct recall_stamp then = {.there = true, .folder = *line == 'd'};
	int at = 2;
	if (*line == 'a')
		return line[1] == ' ' && !stamp_of(r, line + at).there;
	if ((*line != 'f' && *line != 'd') ||
	    sscanf(line + 1,
		   " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %n",
		   &then.size, &then.mtime, &then.ctime, &then.inode, &then.device,
		   &at) != 5 ||
	    line[at + 1] != '/')
		return false;
	struct recall_stamp now = stamp_of(r, line + 1 + at);
	return same(&then, &now);
}

/* holds() - all lines up to the empty one. Return: what is behind it; NULL: something changed. */
static const char *holds(struct recall *r, const char *body, size_t size)
{
	CLEANUP_BUF struct buf line = {0};
	const char *stop = body + size, *end;
	for (; (end = memchr(body, '\n', (size_t)(stop - body))); body = end + 1) {
		if (end == body)
			return end + 1;
		buf_reset(&line);
		buf_add(&line, body, (size_t)(end - body));
		if (!holds_line(r, buf_cstr(&line)))
			return NULL;
	}
	return NULL;
}

/* ---- the file */

static struct recall_entry *entry_of(struct recall *r, const uint8_t key[DIGEST_SIZE])
{
	uint32_t *number = map_find(&r->map, key, DIGEST_SIZE);
	if (number)
		return &r->entries[*number];
	if (r->count == r->capacity) {
		uint32_t capacity = r->capacity ? 2 * r->capacity : 64;
		struct recall_entry *entries =
			realloc(r->entries, capacity * sizeof *entries);
		if (!entries)
			return NULL;
		r->entries = entries;
		r->capacity = capacity;
	}
	char *copy = arena_text(&r->arena, (const char *)key, DIGEST_SIZE);
	if (!copy || map_put(&r->map, copy, DIGEST_SIZE, r->count))
		return NULL;
	r->entries[r->count] = (struct recall_entry){0};
	memcpy(r->entries[r->count].key, key, DIGEST_SIZE);
	return &r->entries[r->count++];
}

/* load_one() - Return: behind it; NULL: the end, or damaged. */
static const char *load_one(struct recall *r, const char *at, const char *stop)
{
	const char *line_end = memchr(at, '\n', (size_t)(stop - at));
	char head[LINE_HEAD + 24];
	uint8_t key[DIGEST_SIZE], digest[DIGEST_SIZE];
	size_t size = line_end ? (size_t)(line_end - at) : 0;
	if (size <= LINE_HEAD || size >= sizeof head || at[HEX_DIGEST_SIZE - 1] != ' ' ||
	    at[LINE_HEAD - 1] != ' ')
		return NULL;
	memcpy(head, at, size);
	head[size] = head[HEX_DIGEST_SIZE - 1] = head[LINE_HEAD - 1] = '\0';
	char *end;
	uint64_t body = strtoull(head + LINE_HEAD, &end, 10);
	if (*end || hex_decode(key, DIGEST_SIZE, head) ||
	    hex_decode(digest, DIGEST_SIZE, head + HEX_DIGEST_SIZE) ||
	    body >= (uint64_t)(stop - line_end) - 1 || line_end[1 + body] != '\n')
		return NULL;
	struct recall_entry *entry = entry_of(r, key);
	if (!entry)
		return NULL;
	memcpy(entry->digest, digest, DIGEST_SIZE);
	entry->body = line_end + 1;
	entry->size = body;
	return line_end + 1 + body + 1;
}

static void load(struct recall *r)
{
	r->loaded = true;
	if (fs_read_file(r->path, FILE_MAX + BODY_MAX, &r->file) || r->file.failed ||
	    r->file.size < sizeof HEAD - 1 || memcmp(r->file.data, HEAD, sizeof HEAD - 1))
		return;
	const char *at = (const char *)r->file.data, *stop = at + r->file.size;
	at += sizeof HEAD - 1;
	while (at && at < stop)
		at = load_one(r, at, stop);
}

bool recall_find(struct recall *r, const uint8_t key[DIGEST_SIZE], const char **versionp,
		 const char **rowp, size_t *sizep)
{
	uint8_t found[DIGEST_SIZE];
	if (!r->path)
		return false;
	if (!r->loaded)
		load(r);
	uint32_t *number = map_find(&r->map, key, DIGEST_SIZE);
	if (!number)
		return false;
	struct recall_entry *entry = &r->entries[*number];
	sha256_digest(entry->body, entry->size, found);
	if (memcmp(found, entry->digest, DIGEST_SIZE))
		return false;
	const char *version = holds(r, entry->body, entry->size), *stop;
	stop = entry->body + entry->size;
	const char *row =
		version ? memchr(version, '\n', (size_t)(stop - version)) : NULL;
	if (!row)
		return false;
	entry->used = true;
	*versionp = arena_text(&r->arena, version, (size_t)(row - version));
	*rowp = row + 1;
	*sizep = (size_t)(stop - row) - 1;
	return *versionp != NULL;
}

/* ---- remembering */

static uint64_t number_of(const struct node *n)
{
	return n->kind == NODE_TEXT && !n->quoted ? strtoull(n->text, NULL, 10)
						  : UINT64_MAX;
}

static const char *path_of(const struct node *n)
{
	bool good = n->kind == NODE_TEXT && n->quoted && *n->text == '/' &&
		    !strchr(n->text, '\n');
	return good ? n->text : NULL;
}

/* add_stamp() - is it still what the describer saw, and has been for a while?
 * @row: [PATH, SIZE, MTIME, INODE], of a folder without the size. */
static bool add_stamp(struct recall *r, struct buf *body, const struct node *row,
		      bool folder, uint64_t now)
{
	if (row->kind != NODE_LIST || row->count < (folder ? 3u : 4u))
		return false;
	const char *path = path_of(&row->items[0]);
	const struct node *rest = &row->items[folder ? 1 : 2];
	if (!path)
		return false;
	struct recall_stamp s = stamp_of(r, path);
	uint64_t touched = s.mtime > s.ctime ? s.mtime : s.ctime;
	if (!s.there || s.folder != folder || s.mtime != number_of(&rest[0]) ||
	    s.inode != number_of(&rest[1]) || touched + r->settle_ns > now ||
	    (!folder && s.size != number_of(&row->items[1])))
		return false;
	buf_printf(body,
		   "%c %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n",
		   folder ? 'd' : 'f', s.size, s.mtime, s.ctime, s.inode, s.device, path);
	return true;
}

static bool add_stamps(struct recall *r, struct buf *body, const struct node *rows,
		       bool folder, uint64_t now)
{
	if (!rows || rows->kind != NODE_LIST)
		return false;
	for (uint32_t i = 0; i < rows->count; i++)
		if (!add_stamp(r, body, &rows->items[i], folder, now))
			return false;
	return true;
}

static bool add_absent(struct recall *r, struct buf *body, const struct node *rows)
{
	if (rows && rows->kind != NODE_LIST)
		return false;
	for (uint32_t i = 0; rows && i < rows->count; i++) {
		const char *path = path_of(&rows->items[i]);
		if (!path || stamp_of(r, path).there)
			return false;
		buf_printf(body, "a %s\n", path);
	}
	return true;
}

void recall_put(struct recall *r, const uint8_t key[DIGEST_SIZE], const char *version,
		const struct buf *row, const char *looked, size_t looked_size)
{
	CLEANUP(doc_fini) struct doc doc = {0};
	CLEANUP_BUF struct buf body = {0};
	struct err unused;
	uint64_t now = (clock_wall_ms() + 1) * NS_PER_MS; /* the clock is cut to ms */
	doc.source = (struct source_text){"looked", looked, looked_size, 1};
	doc.e = &unused;
	if (!r->path || !looked_size || strchr(version, '\n') || doc_parse_json(&doc))
		return;
	if (!r->loaded)
		load(r);
	if (!add_stamps(r, &body, node_find(&doc.root, "files"), false, now) ||
	    !add_stamps(r, &body, node_find(&doc.root, "folders"), true, now) ||
	    !add_absent(r, &body, node_find(&doc.root, "absent")))
		return;
	buf_printf(&body, "\n%s\n", version);
	buf_add(&body, row->data, row->size);
	struct recall_entry *entry =
		body.failed || body.size > BODY_MAX ? NULL : entry_of(r, key);
	char *copy = entry ? arena_text(&r->arena, (char *)body.data, body.size) : NULL;
	if (!copy)
		return;
	entry->body = copy;
	entry->size = body.size;
	entry->used = true;
	sha256_digest(copy, body.size, entry->digest);
	r->changed = true;
}

static void save_entry(struct buf *out, const struct recall_entry *entry)
{
	char key[HEX_DIGEST_SIZE], digest[HEX_DIGEST_SIZE];
	buf_printf(out, "%s %s %zu\n", hex_encode(key, entry->key, DIGEST_SIZE),
		   hex_encode(digest, entry->digest, DIGEST_SIZE), entry->size);
	buf_add(out, entry->body, entry->size);
	buf_add_byte(out, '\n');
}

void recall_save(struct recall *r)
{
	if (!r->changed)
		return;
	r->changed = false;
	CLEANUP_BUF struct buf out = {0};
	uint64_t total = sizeof HEAD;
	for (uint32_t i = 0; i < r->count; i++)
		if (r->entries[i].body)
			total += LINE_HEAD + 24 + r->entries[i].size;
	buf_add_str(&out, HEAD);
	for (int used = 0; used < 2; used++)
		for (uint32_t i = 0; i < r->count; i++) {
			const struct recall_entry *entry = &r->entries[i];
			if (!entry->body || entry->used != used)
				continue;
			if (total > FILE_MAX)
				total -= LINE_HEAD + 24 + entry->size;
			else
				save_entry(&out, entry);
		}
	/* A file that cannot be written costs time the next time, and nothing else. */
	if (!out.failed)
		(void)fs_write_atomic(r->path, out.data, out.size, 0600);
}
