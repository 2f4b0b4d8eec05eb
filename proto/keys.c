/* keys.c - see keys.h: roles, names of keys, and pairs in keys/. Whom they are trusted
 * for is in keys_trust.c. Every change of the folder happens under DIR/lock, so that two
 * programs at once neither lose a row nor make one name twice. */
#include "proto/keys.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/names.h"
#include "proto/keys_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define KEY_FILE_MAX 4096
#define SUFFIX ".key"

static const char *const role_names[] = {
	[ROLE_NONE] = "none",	[ROLE_CLIENT] = "client",     [ROLE_WORKER] = "worker",
	[ROLE_ADMIN] = "admin", [ROLE_OBSERVER] = "observer", [ROLE_BROKER] = "broker",
};

const char *key_role_name(enum key_role role)
{
	return (size_t)role < ARRAY_LEN(role_names) ? role_names[role] : "none";
}

int key_role_parse(const char *text, enum key_role *role)
{
	for (size_t i = ROLE_CLIENT; i < ARRAY_LEN(role_names); i++) {
		if (strcmp(text, role_names[i]) == 0) {
			*role = (enum key_role)i;
			return 0;
		}
	}
	return 1;
}

void key_z85(char out[41], const uint8_t key[KEY_SIZE])
{
	zmq_z85_encode(out, key, KEY_SIZE);
}

int key_parse_z85(uint8_t key[KEY_SIZE], const char *text)
{
	uint8_t decoded[KEY_SIZE];
	if (strlen(text) != 40 || !zmq_z85_decode(decoded, text))
		return 1;
	memcpy(key, decoded, KEY_SIZE);
	return 0;
}

char *key_dir(void)
{
	char *out = NULL;
	int rc = -1;
	const char *config = getenv("CASHET_CONFIG");
	const char *xdg = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	if (config && config[0]) {
		rc = asprintf(&out, "%s", config);
	} else if (xdg && xdg[0] == '/') {
		rc = asprintf(&out, "%s/cashet", xdg);
	} else {
		if (!home || !home[0]) {
			const struct passwd *user = getpwuid(geteuid());
			home = user && user->pw_dir ? user->pw_dir : "/";
		}
		rc = asprintf(&out, "%s/.config/cashet", home);
	}
	return rc < 0 ? NULL : out;
}

char *keys_path(const char *name)
{
	char *dir = key_dir(), *out = NULL;
	if (dir && asprintf(&out, "%s/%s", dir, name) < 0)
		out = NULL;
	free(dir);
	return out;
}

int keys_no_memory(struct err *e)
{
	return err_set(e, ERR_FAILED, "out of memory");
}

int keys_failed(struct err *e, const char *doing, const char *path, int rc)
{
	enum err_code code = rc == -EACCES || rc == -EPERM ? ERR_NOT_ALLOWED : ERR_FAILED;
	return err_set(e, code, "cannot %s '%s': %s", doing, path, strerror(-rc));
}

int keys_lock(int *fdp, struct err *e)
{
	char *keys CLEANUP_TEXT = keys_path("keys");
	char *lock CLEANUP_TEXT = keys_path("lock");
	if (!keys || !lock)
		return keys_no_memory(e);
	int rc = fs_mkdir_p(keys, 0700);
	if (rc < 0)
		return keys_failed(e, "create", keys, rc);
	uint64_t give_up = clock_mono_ns() + 10 * NS_PER_S;
	for (;;) {
		int pid = 0;
		int fd = fs_lock(lock, &pid);
		if (fd >= 0) {
			*fdp = fd;
			return 0;
		}
		if (fd != -EWOULDBLOCK)
			return keys_failed(e, "lock", lock, fd);
		if (clock_mono_ns() > give_up)
			return err_set(e, ERR_FAILED,
				       "'%s' has been locked by process %d for 10 s",
				       lock, pid);
		nanosleep(&(struct timespec){.tv_nsec = 5 * (long)NS_PER_MS}, NULL);
	}
}

/* ---- pairs ---- */

static char *pair_path(const char *name, const char *suffix)
{
	char *keys = keys_path("keys"), *out = NULL;
	if (keys && asprintf(&out, "%s/%s%s", keys, name, suffix) < 0)
		out = NULL;
	free(keys);
	return out;
}

static int write_pair(const struct key_pair *pair, const char *secret_path,
		      const char *public_path, struct err *e)
{
	char public[41], secret[41], text[512];
	key_z85(public, pair->public);
	key_z85(secret, pair->secret);
	int size = snprintf(text, sizeof text, "%s\n", public);
	int rc = fs_write_atomic(public_path, text, (size_t)size, 0644);
	if (rc < 0)
		return keys_failed(e, "write", public_path, rc);
	size = snprintf(text, sizeof text,
			"cashet-secret-key 1\nname = %s\npublic = %s\nsecret = %s\n",
			pair->name, public, secret);
	rc = fs_write_atomic(secret_path, text, (size_t)size, 0600);
	explicit_bzero(text, sizeof text);
	explicit_bzero(secret, sizeof secret);
	return rc < 0 ? keys_failed(e, "write", secret_path, rc) : 0;
}

int key_new(const char *name, struct key_pair *pair, struct err *e)
{
	if (!names_valid(name, true) || strlen(name) >= sizeof pair->name) {
		err_set(e, ERR_USAGE, "'%s' is not a name for a key", name);
		err_next(e, "use letters, digits, '-', '_' and '.', 127 at most");
		return ERR_USAGE;
	}
	char *secret_path CLEANUP_TEXT = pair_path(name, SUFFIX);
	char *public_path CLEANUP_TEXT = pair_path(name, ".pub");
	if (!secret_path || !public_path)
		return keys_no_memory(e);
	int lock CLEANUP_FD = -1;
	int rc = keys_lock(&lock, e);
	if (rc)
		return rc;
	if (access(secret_path, F_OK) == 0) {
		err_set(e, ERR_USAGE, "the key '%s' exists already: %s", name,
			secret_path);
		err_next(e, "choose another name, or remove the file if nothing uses it");
		return ERR_USAGE;
	}
	struct key_pair made = {0};
	strcpy(made.name, name);
	char public[41], secret[41];
	do { /* the text is an argument of `cashet key trust`: not one like an option */
		if (zmq_curve_keypair(public, secret) < 0)
			return err_set(e, ERR_FAILED,
				       "this libzmq was built without CURVE");
	} while (public[0] == '-');
	key_parse_z85(made.public, public);
	key_parse_z85(made.secret, secret);
	explicit_bzero(secret, sizeof secret);
	rc = write_pair(&made, secret_path, public_path, e);
	if (rc == 0 && pair)
		*pair = made;
	explicit_bzero(&made, sizeof made);
	return rc;
}

/* take_field() - "LABEL = VALUE\n" at *@at; moves *@at behind it. */
static bool take_field(char **at, const char *label, char *value, size_t room)
{
	size_t label_size = strlen(label), size = strcspn(*at, "\n");
	if (strncmp(*at, label, label_size) != 0 || (*at)[size] != '\n' ||
	    size - label_size >= room)
		return false;
	memcpy(value, *at + label_size, size - label_size);
	value[size - label_size] = '\0';
	*at += size + 1;
	return true;
}

static bool parse_pair(char *text, struct key_pair *pair)
{
	char public[41], secret[41];
	bool is_fine = take_field(&text, "cashet-secret-key 1", public, sizeof public) &&
		       !public[0] &&
		       take_field(&text, "name = ", pair->name, sizeof pair->name) &&
		       take_field(&text, "public = ", public, sizeof public) &&
		       take_field(&text, "secret = ", secret, sizeof secret) &&
		       names_valid(pair->name, true) &&
		       !key_parse_z85(pair->public, public) &&
		       !key_parse_z85(pair->secret, secret);
	/* A pair whose halves do not belong together would fail in the handshake, mutely.
	 */
	char derived[41];
	is_fine = is_fine && zmq_curve_public(derived, secret) == 0 &&
		  !strcmp(derived, public);
	explicit_bzero(secret, sizeof secret);
	return is_fine;
}

static int check_private(const char *path, struct err *e)
{
	struct stat st;
	if (stat(path, &st) < 0) {
		if (errno != ENOENT)
			return keys_failed(e, "read the key", path, -errno);
		err_set(e, ERR_NOT_FOUND, "there is no key file '%s'", path);
		err_next(e, "make one: cashet key new NAME");
		return ERR_NOT_FOUND;
	}
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_USAGE, "the key '%s' is not a file", path);
	if (st.st_mode & 077) {
		err_set(e, ERR_NOT_ALLOWED,
			"others can read the secret key '%s' (mode %03o)", path,
			st.st_mode & 0777);
		err_next(e,
			 "chmod 600 '%s', or make a new key if somebody may have read it",
			 path);
		return ERR_NOT_ALLOWED;
	}
	return 0;
}

static int load_file(const char *path, struct key_pair *pair, struct err *e)
{
	int rc = check_private(path, e);
	if (rc)
		return rc;
	CLEANUP_BUF struct buf text = {0};
	rc = fs_read_file(path, KEY_FILE_MAX, &text);
	if (rc < 0 && rc != -EFBIG)
		return keys_failed(e, "read the key", path, rc);
	struct key_pair read = {0};
	bool is_fine = rc == 0 &&
		       !memchr(text.data ? text.data : (uint8_t *)"", 0, text.size) &&
		       buf_cstr(&text)[0] && parse_pair((char *)text.data, &read);
	if (text.data)
		explicit_bzero(text.data, text.capacity);
	if (is_fine)
		*pair = read;
	else
		err_set(e, ERR_USAGE, "'%s' is not a secret key of cashet", path);
	explicit_bzero(&read, sizeof read);
	return is_fine ? 0 : ERR_USAGE;
}

static int compare_names(const void *a, const void *b)
{
	const struct key_trust *x = a, *y = b;
	return strcmp(x->name, y->name);
}

/* read_public() - from NAME.pub; the secret half stays unread. */
static bool read_public(const char *name, uint8_t public[KEY_SIZE])
{
	char *path CLEANUP_TEXT = pair_path(name, ".pub");
	CLEANUP_BUF struct buf text = {0};
	if (!path || fs_read_file(path, KEY_FILE_MAX, &text) < 0)
		return false;
	char z85[41] = {0};
	size_t size = strcspn(buf_cstr(&text), "\n");
	if (size != 40)
		return false;
	memcpy(z85, text.data, 40);
	return key_parse_z85(public, z85) == 0;
}

static bool name_of_file(const char *file, char name[128])
{
	size_t size = strlen(file), suffix = strlen(SUFFIX);
	if (size <= suffix || size - suffix >= 128 ||
	    strcmp(file + size - suffix, SUFFIX) != 0)
		return false;
	memcpy(name, file, size - suffix);
	name[size - suffix] = '\0';
	return names_valid(name, true);
}

int key_list(struct key_trust **rowsp, size_t *countp, struct err *e)
{
	char *keys CLEANUP_TEXT = keys_path("keys");
	if (!keys)
		return keys_no_memory(e);
	struct key_trust *rows = NULL;
	size_t count = 0;
	DIR *dir = opendir(keys);
	if (!dir && errno != ENOENT)
		return keys_failed(e, "read", keys, -errno);
	for (const struct dirent *entry; dir && (entry = readdir(dir));) {
		struct key_trust row = {0};
		if (!name_of_file(entry->d_name, row.name) ||
		    !read_public(row.name, row.public))
			continue;
		if (keys_add_row(&rows, &count, &row)) {
			free(rows);
			closedir(dir);
			return keys_no_memory(e);
		}
	}
	if (dir)
		closedir(dir);
	if (count)
		qsort(rows, count, sizeof *rows, compare_names);
	*rowsp = rows;
	*countp = count;
	return 0;
}

/* only_name() - of the only secret key in keys/, "" if there are none or several. */
static int only_name(char name[128], size_t *countp, struct err *e)
{
	struct key_trust *rows = NULL;
	int rc = key_list(&rows, countp, e);
	if (rc)
		return rc;
	name[0] = '\0';
	if (*countp == 1)
		strcpy(name, rows[0].name);
	free(rows);
	return 0;
}

static int load_named(const char *name, struct key_pair *pair, struct err *e)
{
	char *path CLEANUP_TEXT = pair_path(name, SUFFIX);
	return path ? load_file(path, pair, e) : keys_no_memory(e);
}

int key_load(const char *file, const char *fallback_name, struct key_pair *pair,
	     struct err *e)
{
	const char *from_env = getenv("CASHET_KEY");
	const char *chosen = file ? file : from_env;
	if (chosen && chosen[0]) {
		bool is_path = strchr(chosen, '/') || !names_valid(chosen, true) ||
			       access(chosen, F_OK) == 0;
		return is_path ? load_file(chosen, pair, e) : load_named(chosen, pair, e);
	}
	char name[128];
	size_t count = 0;
	int rc = only_name(name, &count, e);
	if (rc)
		return rc;
	if (name[0])
		return load_named(name, pair, e);
	if (count && fallback_name) {
		rc = load_named(fallback_name, pair, NULL);
		if (rc != ERR_NOT_FOUND)
			return rc ? load_named(fallback_name, pair, e) : 0;
	}
	if (count) {
		err_set(e, ERR_USAGE, "there are %zu keys, and none was chosen", count);
		err_next(e, "say which: --key FILE, or CASHET_KEY=NAME (cashet key ls)");
		return ERR_USAGE;
	}
	err_set(e, ERR_NOT_FOUND, "there is no key of ours yet");
	err_next(e, "make one: cashet key new NAME");
	return ERR_NOT_FOUND;
}
