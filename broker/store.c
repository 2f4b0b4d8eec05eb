/* store.c - the store's directory: whose it is, and where its sockets are.
 *
 * DIR/run/lock is held for the life of the broker and names its pid; a second line says that it has
 * come to its end in an orderly manner, so that clients can tell that from a crash. DIR/run/socket
 * holds the path of the control socket, since a path that is too long for a socket has to live
 * elsewhere. */
#include "broker/broker.h"

#include "common/fs.h"
#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCKET_PATH_MAX 100 /* bytes, ".blobs" not counted */

static char *join(const char *dir, const char *name)
{
	char *path = NULL;
	if (asprintf(&path, "%s/%s", dir, name) < 0)
		abort();
	return path;
}

static int cannot(struct err *e, const char *what, const char *path, int rc)
{
	if (rc == -EACCES || rc == -EPERM || rc == -EROFS) {
		err_set(e, ERR_NOT_ALLOWED, "the store %s cannot be written: %s (%s)",
			path, strerror(-rc), what);
		err_next(e,
			 "choose another with --store DIR, or change its owner or mode");
		return ERR_NOT_ALLOWED;
	}
	return err_set(e, ERR_FAILED, "the store %s cannot be used: %s (%s)", path,
		       strerror(-rc), what);
}

/* Files that root made in somebody's store would shut its owner out of it. */
static int check_owner(const char *path, struct err *e)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return cannot(e, "stat", path, -errno);
	if (st.st_uid == geteuid())
		return 0;
	const struct passwd *owner = getpwuid(st.st_uid);
	char number[16];
	snprintf(number, sizeof number, "uid %u", (unsigned)st.st_uid);
	err_set(e, ERR_NOT_ALLOWED, "the store %s belongs to another user: %s", path,
		owner ? owner->pw_name : number);
	err_next(e, "run as that user, choose another store with --store DIR, or chown "
		    "-R it");
	return ERR_NOT_ALLOWED;
}

static int check_file_system(const char *path, struct err *e)
{
	int network = fs_is_network(path);
	if (network < 0)
		return cannot(e, "statfs", path, network);
	if (!network)
		return 0;
	err_set(e, ERR_FAILED,
		"the store %s is on a network file system, where databases and locks are "
		"not safe",
		path);
	err_next(e, "give a local directory with --store; other machines reach it "
		    "through the "
		    "broker");
	return ERR_FAILED;
}

static int lock(struct broker *b, struct err *e)
{
	char *path = join(b->run_dir, "lock");
	int pid = 0;
	b->lock_fd = fs_lock(path, &pid);
	free(path);
	if (b->lock_fd >= 0)
		return 0;
	if (b->lock_fd != -EWOULDBLOCK)
		return cannot(e, "run/lock", b->store, b->lock_fd);
	if (b->options->is_private)
		return BROKER_LOST_RACE;
	err_set(e, ERR_FAILED, "another broker has the store %s: pid %d", b->store, pid);
	err_next(e, "use that one (cashet broker status --store %s), or stop it: kill %d",
		 b->store, pid);
	return ERR_FAILED;
}

void store_mark_end(struct broker *b)
{
	static const char end[] = STORE_END_MARK "\n";
	if (b->lock_fd >= 0 && fs_write_all(b->lock_fd, end, sizeof end - 1) < 0)
		log_debug("end not marked", "store=%s", b->store);
}

int store_open(struct broker *b, struct err *e)
{
	const char *given = b->options->store;
	umask(077);
	int rc = fs_mkdir_p(given, 0700);
	if (rc < 0)
		return cannot(e, "mkdir", given, rc);
	char *real = realpath(given, NULL);
	if (!real)
		return cannot(e, "realpath", given, -errno);
	b->store = real;
	rc = check_file_system(b->store, e);
	if (rc)
		return rc;
	if (access(b->store, R_OK | W_OK | X_OK) < 0)
		return cannot(e, "access", b->store, -errno);
	rc = check_owner(b->store, e);
	if (rc)
		return rc;
	b->run_dir = join(b->store, "run");
	rc = fs_mkdir_p(b->run_dir, 0700);
	if (rc < 0)
		return cannot(e, "run", b->store, rc);
	return lock(b, e);
}

void store_close(struct broker *b)
{
	/* The file stays: removing it would let two brokers lock two files of one name. */
	if (b->lock_fd >= 0)
		close(b->lock_fd);
	free(b->run_dir);
	free(b->store);
}

bool store_vanished(struct broker *b)
{
	struct stat now, held;
	char *path = join(b->run_dir, "lock");
	bool gone = stat(path, &now) < 0 || fstat(b->lock_fd, &held) < 0 ||
		    now.st_ino != held.st_ino || now.st_dev != held.st_dev;
	free(path);
	return gone;
}

bool store_tells_socket(struct broker *b)
{
	char *file = join(b->run_dir, "socket");
	bool there = access(file, F_OK) == 0;
	free(file);
	return there;
}

/* A folder of our own for sockets whose path in the store would be too long. */
static int other_folder(struct broker *b, char **folderp, struct err *e)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char hex[HEX_DIGEST_SIZE], *user = NULL, *folder = NULL;
	uint8_t digest[DIGEST_SIZE];
	struct stat st;
	sha256_digest(b->store, strlen(b->store), digest);
	hex_encode(hex, digest, 8);
	if (asprintf(&user, "%s/cashet-%u", runtime && *runtime ? runtime : "/tmp",
		     (unsigned)getuid()) < 0)
		abort();
	int rc = fs_mkdir_p(user, 0700);
	if (!rc && (lstat(user, &st) < 0 || !S_ISDIR(st.st_mode) ||
		    st.st_uid != getuid() || (st.st_mode & 077)))
		rc = -EPERM;
	if (!rc) {
		folder = join(user, hex);
		rc = fs_mkdir_p(folder, 0700);
	}
	free(user);
	if (rc) {
		free(folder);
		return err_set(
			e, ERR_NOT_ALLOWED,
			"no safe folder for sockets: the path of %s is too long for one, "
			"and %s/cashet-%u is not a private folder of ours",
			b->store, runtime && *runtime ? runtime : "/tmp",
			(unsigned)getuid());
	}
	*folderp = folder;
	return 0;
}

char *store_socket(struct broker *b, struct err *e)
{
	char *path = join(b->run_dir, "broker.sock");
	if (strlen(path) > SOCKET_PATH_MAX) {
		char *folder = NULL;
		free(path);
		if (other_folder(b, &folder, e))
			return NULL;
		path = join(folder, "broker.sock");
		free(folder);
	}
	char *file = join(b->run_dir, "socket");
	int rc = fs_write_atomic(file, path, strlen(path), 0600);
	free(file);
	if (rc) {
		cannot(e, "run/socket", b->store, rc);
		free(path);
		return NULL;
	}
	return path;
}
