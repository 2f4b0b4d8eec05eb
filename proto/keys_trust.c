/* keys_trust.c - the trust table: who may come to our broker (`trusted`), and which
 * brokers we go to (`brokers`). Both are text that people may edit; changes made here
 * keep their comments. A line that cannot be read trusts nobody; it is reported and never
 * guessed at. */
#include "common/fs.h"
#include "proto/keys_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TABLE_MAX (4u << 20)

static const char *table_of(enum key_role role)
{
	return role == ROLE_BROKER ? "brokers" : "trusted";
}

char *key_trust_path(enum key_role role)
{
	return keys_path(table_of(role));
}

int keys_add_row(struct key_trust **rows, size_t *count, const struct key_trust *row)
{
	/* Capacity is the power of two at or above the count: grow when the count is one.
	 */
	if ((*count & (*count - 1)) == 0) {
		size_t capacity = *count ? 2 * *count : 1;
		struct key_trust *grown = realloc(*rows, capacity * sizeof *grown);
		if (!grown)
			return 1;
		*rows = grown;
	}
	(*rows)[(*count)++] = *row;
	return 0;
}

/* A name is one printable word: it is one field of a line. */
static bool name_is_fine(const char *name)
{
	size_t size = strlen(name);
	if (!size || size >= sizeof((struct key_trust *)NULL)->name)
		return false;
	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f)
			return false;
	}
	return true;
}

enum line { LINE_ROW, LINE_EMPTY, LINE_BAD };

/* parse_line() - PUBLIC ROLE NAME of `trusted`, PUBLIC HOST:PORT of `brokers`. '#' is a
 * Z85 digit, so it starts a comment only at the beginning of a line. */
static enum line parse_line(const char *text, size_t size, bool is_brokers,
			    struct key_trust *row)
{
	char line[512], key[64], first[160], second[160], rest[2];
	*row = (struct key_trust){0};
	if (size >= sizeof line || memchr(text, 0, size))
		return LINE_BAD;
	memcpy(line, text, size);
	line[size] = '\0';
	size_t blank = strspn(line, " \t\r");
	if (!line[blank])
		return LINE_EMPTY;
	/* A key may begin with '#' too; then it is 40 characters and a role. */
	int fields = sscanf(line, "%63s %159s %159s %1s", key, first, second, rest);
	bool is_row = fields == (is_brokers ? 2 : 3) && !key_parse_z85(row->public, key);
	if (is_row && is_brokers) {
		row->role = ROLE_BROKER;
		is_row = name_is_fine(first);
		if (is_row)
			strcpy(row->name, first);
	} else if (is_row) {
		is_row = !key_role_parse(first, &row->role) && row->role != ROLE_BROKER &&
			 name_is_fine(second);
		if (is_row)
			strcpy(row->name, second);
	}
	if (is_row)
		return LINE_ROW;
	return line[blank] == '#' ? LINE_EMPTY : LINE_BAD;
}

static int read_table(const char *path, struct buf *text, struct err *e)
{
	int rc = fs_read_file(path, TABLE_MAX, text);
	return rc < 0 && rc != -ENOENT ? keys_failed(e, "read", path, rc) : 0;
}

/* next_line() - bytes of the line at @at, without its newline. */
static size_t next_line(const struct buf *text, size_t at)
{
	const uint8_t *end = memchr(text->data + at, '\n', text->size - at);
	return end ? (size_t)(end - text->data) - at : text->size - at;
}

static int list_table(bool is_brokers, struct key_trust **rows, size_t *count,
		      struct err *e)
{
	char *path CLEANUP_TEXT = key_trust_path(is_brokers ? ROLE_BROKER : ROLE_CLIENT);
	CLEANUP_BUF struct buf text = {0};
	if (!path)
		return keys_no_memory(e);
	int rc = read_table(path, &text, e);
	if (rc)
		return rc;
	int bad = 0;
	unsigned number = 0;
	for (size_t at = 0, size; at < text.size; at += size + 1) {
		size = next_line(&text, at);
		number++;
		struct key_trust row;
		enum line kind =
			parse_line((char *)text.data + at, size, is_brokers, &row);
		if (kind == LINE_ROW && keys_add_row(rows, count, &row))
			return keys_no_memory(e);
		if (kind == LINE_BAD && !bad) {
			bad = err_set(e, ERR_USAGE,
				      "%s:%u: not a line of this file: nobody is "
				      "trusted by it",
				      path, number);
			err_next(e, is_brokers ? "a line is: PUBLIC-KEY HOST:PORT (or *)"
					       : "a line is: PUBLIC-KEY ROLE NAME");
		}
	}
	return bad;
}

int key_trust_list(struct key_trust **rowsp, size_t *countp, struct err *e)
{
	struct key_trust *rows = NULL;
	size_t count = 0;
	int rc = list_table(false, &rows, &count, e);
	if (rc == 0 || rc == ERR_USAGE) {
		int second = list_table(true, &rows, &count, rc ? NULL : e);
		rc = rc && second == ERR_USAGE ? rc : second ? second : rc;
	}
	if (rc && rc != ERR_USAGE) {
		free(rows);
		return rc;
	}
	*rowsp = rows;
	*countp = count;
	return rc;
}

static void add_line(struct buf *out, const struct key_trust *row)
{
	char z85[41];
	key_z85(z85, row->public);
	if (row->role == ROLE_BROKER)
		buf_printf(out, "%s %s\n", z85, row->name);
	else
		buf_printf(out, "%s %s %s\n", z85, key_role_name(row->role), row->name);
}

/* copy_without() - all lines but those that @row replaces: of the same key; of brokers,
 * also those of the same address. With row->role ROLE_NONE: of the same key in either
 * table. */
static bool copy_without(struct buf *out, const struct buf *text, bool is_brokers,
			 const struct key_trust *row)
{
	bool found = false;
	for (size_t at = 0, size; at < text->size; at += size + 1) {
		size = next_line(text, at);
		struct key_trust old;
		const char *line = (char *)text->data + at;
		bool is_it = false;
		if (parse_line(line, size, is_brokers, &old) == LINE_ROW) {
			bool same_key = memcmp(old.public, row->public, KEY_SIZE) == 0;
			if (row->role == ROLE_BROKER)
				is_it = strcmp(old.name, row->name) == 0;
			else
				is_it = same_key;
		}
		found |= is_it;
		if (!is_it) {
			buf_add(out, line, size);
			buf_add_byte(out, '\n');
		}
	}
	return found;
}

/* edit_table() - Return: 0 or ERR_*; *foundp: whether there was a row to replace. */
static int edit_table(bool is_brokers, const struct key_trust *row, bool *foundp,
		      struct err *e)
{
	char *path CLEANUP_TEXT = key_trust_path(is_brokers ? ROLE_BROKER : ROLE_CLIENT);
	CLEANUP_BUF struct buf text = {0};
	CLEANUP_BUF struct buf out = {0};
	if (!path)
		return keys_no_memory(e);
	int rc = read_table(path, &text, e);
	if (rc)
		return rc;
	*foundp = copy_without(&out, &text, is_brokers, row);
	if (row->role != ROLE_NONE)
		add_line(&out, row);
	else if (!*foundp)
		return 0;
	if (out.failed)
		return keys_no_memory(e);
	rc = fs_write_atomic(path, out.data ? out.data : (uint8_t *)"", out.size, 0600);
	return rc < 0 ? keys_failed(e, "write", path, rc) : 0;
}

int key_trust_add(const struct key_trust *row, struct err *e)
{
	if (row->role == ROLE_NONE)
		return err_set(e, ERR_USAGE, "a trusted key needs a role");
	if (!name_is_fine(row->name))
		return err_set(e, ERR_USAGE, "'%s' is not one word of 1 to 127 bytes",
			       row->name);
	int lock CLEANUP_FD = -1;
	int rc = keys_lock(&lock, e);
	bool found;
	return rc ? rc : edit_table(row->role == ROLE_BROKER, row, &found, e);
}

int key_trust_remove(const uint8_t public[KEY_SIZE], bool *foundp, struct err *e)
{
	struct key_trust row = {.role = ROLE_NONE};
	memcpy(row.public, public, KEY_SIZE);
	int lock CLEANUP_FD = -1;
	bool in_trusted = false, in_brokers = false;
	int rc = keys_lock(&lock, e);
	if (rc == 0)
		rc = edit_table(false, &row, &in_trusted, e);
	if (rc == 0)
		rc = edit_table(true, &row, &in_brokers, e);
	if (rc == 0)
		*foundp = in_trusted || in_brokers;
	return rc;
}

int key_find_broker(const char *host_port, uint8_t public[KEY_SIZE], struct err *e)
{
	struct key_trust *rows = NULL;
	size_t count = 0;
	int rc = list_table(true, &rows, &count, e);
	const struct key_trust *exact = NULL, *any = NULL;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		if (strcmp(rows[i].name, host_port) == 0)
			exact = &rows[i];
		else if (strcmp(rows[i].name, "*") == 0)
			any = &rows[i];
	}
	const struct key_trust *row = exact ? exact : any;
	if (row)
		memcpy(public, row->public, KEY_SIZE);
	else if (rc == 0) {
		rc = err_set(e, ERR_NOT_FOUND,
			     "the broker at %s is not trusted: its public key "
			     "is not known here",
			     host_port);
		err_next(e,
			 "ask its operator for the key (cashet key ls), then: cashet key "
			 "trust "
			 "PUBLIC-KEY --role broker --name %s",
			 host_port);
	}
	free(rows);
	return rc;
}
