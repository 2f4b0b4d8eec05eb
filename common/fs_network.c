/* fs_network.c - fs_is_network(). Locks and memory maps, on which a store relies, cannot be trusted
 * there. Numbers of file systems are from linux/magic.h and their own sources; what FUSE hides
 * behind one number is told by the type in mountinfo. */
#include "common/fs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#define MAGIC_FUSE 0x65735546

static const uint32_t network_magics[] = {
	0x6969,	    /* nfs */
	0x517b,	    /* smb */
	0xff534d42, /* cifs */
	0xfe534d42, /* smb2 */
	0x0bd00bd0, /* lustre */
	0x47504653, /* gpfs */
	0x00c36400, /* ceph */
	0x5346414f, /* afs */
	0x73757245, /* coda */
	0x7461636f, /* ocfs2 */
	0x01161970, /* gfs2 */
	0x19830326, /* beegfs */
	0xaad7aaea, /* panfs */
	0x20030528, /* orangefs */
	0x0000564c, /* ncp */
};

static const char *const network_fuse[] = {
	"fuse.sshfs",	 "fuse.glusterfs", "fuse.ceph-fuse", "fuse.s3fs",
	"fuse.rclone",	 "fuse.juicefs",   "fuse.davfs",     "fuse.gcsfuse",
	"fuse.mount-s3", "fuse.moosefs",
};

/* fuse_is_network() - a line is: id parent major:minor root mountpoint options ... - type source.
 * proc(5). */
static bool fuse_is_network(dev_t device)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	if (!mounts)
		return false;
	char *line = NULL, type[64];
	size_t capacity = 0;
	bool network = false;
	while (getline(&line, &capacity, mounts) >= 0) {
		unsigned major_number, minor_number;
		const char *dash = strstr(line, " - ");
		if (!dash ||
		    sscanf(line, "%*d %*d %u:%u", &major_number, &minor_number) != 2 ||
		    makedev(major_number, minor_number) != device ||
		    sscanf(dash, " - %63s", type) != 1)
			continue;
		for (size_t i = 0; i < ARRAY_LEN(network_fuse); i++)
			network |= !strcmp(type, network_fuse[i]);
	}
	free(line);
	fclose(mounts);
	return network;
}

int fs_is_network(const char *path)
{
	struct statfs fs;
	if (statfs(path, &fs) < 0)
		return -errno;
	uint32_t magic = (uint32_t)fs.f_type;
	for (size_t i = 0; i < ARRAY_LEN(network_magics); i++)
		if (magic == network_magics[i])
			return 1;
	if (magic != MAGIC_FUSE)
		return 0;
	struct stat st;
	if (stat(path, &st) < 0)
		return -errno;
	return fuse_is_network(st.st_dev);
}
