/* restore.c - see restore.h. */
#include "broker/restore.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

#define IPC "ipc://"

int restore_listener(void *socket, const char *url)
{
	struct stat st;
	const char *path = url + strlen(IPC);
	if (strncmp(url, IPC, strlen(IPC)) != 0 || *path == '@' ||
	    lstat(path, &st) == 0 || errno != ENOENT)
		return 0;
	/* The listener of the removed file stays: to unbind it would end its connections. */
	return zmq_bind(socket, url) < 0 ? -errno : 1;
}
