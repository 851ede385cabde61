/* The FLAC space: data by address in a pool that survives, shared by processes, moved without copying.
 *
 * A pool has one space of FLAC_SPAN bytes of addresses: all zeros, and no page of it exists. A page (FLAC_PAGE bytes) exists from the first byte
 * that is moved into it until pfree(); which addresses are used for what is up to the program. What zcopy_to_flac() moves in is seen by every process
 * that has the space open, and is uncommitted until pflush_add() and pflush_commit() commit its page, together with changes of the program's own
 * records: the metalog, an ordered map of small keys and values that init_flac() hands back.
 *
 * All calls return 0 or a negative errno. Sizes and addresses are bytes. No call may be made in a signal handler.
 *
 * cc program.c $(pkg-config --cflags --libs flac)
 *
 * Made from flac/capi/src/lib.rs: change it there. */

#ifndef FLAC_H
#define FLAC_H

#include <stddef.h>
#include <stdint.h>

/*
 Bytes of addresses in the FLAC space.
 */
#define FLAC_SPAN 70368744177664

/*
 Bytes of a page: what pflush_add, pfree and flac_attach work on.
 */
#define FLAC_PAGE 4096

/*
 The longest key of a metalog record, in bytes.
 */
#define FLAC_KEY_MAX 255

/*
 The longest value of a metalog record, in bytes.
 */
#define FLAC_VALUE_MAX 65536

/*
 flac_attach: for reading only.
 */
#define FLAC_READ 1

/*
 flac_attach: for reading and writing; a page that is written becomes the program's own copy.
 */
#define FLAC_COPY_ON_WRITE 3

/*
 Pages on their way into the pool. Made by the first pflush_add, gone with pflush_commit or pflush_cancel.
 */
typedef struct pflush_handle pflush_handle;

/*
 What init_flac calls with each metalog record; the memory is valid during the call only. It may call everything but init_flac and exit_flac.
 */
typedef void (*flac_recover)(void *context, const void *key, size_t key_size, const void *value, size_t value_size);

/*
 How a space is opened. All zero is what init_flac takes for NULL.
 */
typedef struct flac_options {
  /*
   Bytes that a pool made by this call can hold; 0: half of what is free there.
   */
  uint64_t pool_size;
  /*
   Bytes of the cache in memory, if this process is the first to open the pool; 0: half of the memory.
   */
  uint64_t dram_size;
  /*
   Gets the records, in ascending order of the keys; NULL: nobody does.
   */
  flac_recover recover;
  /*
   Handed to recover.
   */
  void *context;
} flac_options;

/*
 An address in the FLAC space, in bytes: 0 to FLAC_SPAN - 1.
 */
typedef uint64_t flac_addr;

/*
 A change of one metalog record.
 */
typedef struct flac_change {
  /*
   The key, and its bytes: 1 to FLAC_KEY_MAX.
   */
  const void *key;
  /*
   Bytes of the key.
   */
  size_t key_size;
  /*
   The value; NULL: the record is deleted.
   */
  const void *value;
  /*
   Bytes of the value, at most FLAC_VALUE_MAX.
   */
  size_t value_size;
} flac_change;

/*
 Changes of metalog records, made in this order. NULL in place of a pointer to it: none.
 */
typedef struct flac_metalog {
  /*
   The changes.
   */
  const struct flac_change *changes;
  /*
   How many.
   */
  size_t count;
} flac_metalog;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Makes the pool in the directory `pm_path` (with the directory) if there is none, opens its FLAC space, and hands every metalog record to
 options->recover. After a crash the space is as the last durable commit left it; while other processes have it open, it is as they see it. What was
 uncommitted when the last process left it is gone.

 A process has one space. Called again with the same path this only hands over the records again, as they are by then, those of other
 processes included. `options` may be NULL.

 Returns 0, or: -EINVAL: pm_path is NULL; -EBUSY: this process has a space of another path; -ENFILE: too many processes use the pool; -EIO: the pool can't be
 made or used as it is, or is damaged (flac_error() says more); the errno of a failed system call.

 Threads: one at a time. Processes: any number may open a pool; who dies leaves nothing that others wait for. A process that has the preload
 library on the same pool must not call this.

 # Safety
 The pointers are valid, pm_path ends with a zero byte.
 */
int init_flac(const char *pm_path,
              const struct flac_options *options);

/*
 Moves `size` bytes (any number) from the address `from_addr` of the space to `to_addr`. Whole pages are mapped instead of copied (copy-on-write on both
 sides) where to_addr and from_addr agree modulo 4096, there are 64 KiB or more in private memory, and mapping is faster. What was never
 moved in, or was freed, reads as zeros. Later changes of the space do not change what was read. Before memory that received pages is unmapped
 nothing has to be done.

 Returns 0, or: -EINVAL: beyond FLAC_SPAN; -ENOMEM: the cache is full of uncommitted pages; -EIO: a page could not be read or fails its
 checksum; -ENXIO: no init_flac. After an error a part may have been moved. Memory that is not the caller's faults, as with memcpy.

 Durability: changes nothing. Threads and processes: any number at a time; a transfer of up to one page sees each page before or after
 a simultaneous zcopy_to_flac, never a mix.

 # Safety
 `size` bytes at to_addr are the caller's to write.
 */
int zcopy_from_flac(void *to_addr,
                    flac_addr from_addr,
                    size_t size);

/*
 Moves `size` bytes (any number) from `from_addr` to the address `to_addr` of the space. All processes see them at once. They are
 uncommitted: a crash, or the end of the last process that has the space open, undoes them unless their pages are committed. Nobody else's
 flush commits them.

 Returns 0, or: -EINVAL: beyond FLAC_SPAN; -ENOSPC: the pool has no room for the pages, with what is to be committed already; -ENOMEM: the cache is full
 of uncommitted pages; -EIO; -ENXIO: no init_flac. After an error a part may have been moved. Memory that is not the caller's faults, as with memcpy.

 Durability: none. Threads and processes: any number at a time; of two simultaneous transfers to the same page either may be the last.

 # Safety
 `size` bytes at from_addr are the caller's to read.
 */
int zcopy_to_flac(flac_addr to_addr,
                  const void *from_addr,
                  size_t size);

/*
 Adds the pages of `size` bytes from `addr` on, both multiples of 4096, to the handle `*handle`, with the content that they have now: what is moved there
 later is not in the commit, unless they are added again. If *handle is NULL a handle is made. Takes microseconds; writes nothing.

 Returns 0, or: -EINVAL: handle is NULL, not aligned, size 0, beyond FLAC_SPAN, or a handle from before fork(); -EBUSY: one of the pages is in another handle, of
 any process, that is not committed; -ENOLCK, -ENFILE, -EMFILE: too many ranges or handles; -ENOSPC; -ENXIO: no init_flac. The handle keeps what it had.

 Durability: none. Threads: a handle is for one at a time; different handles are independent. Processes: a handle belongs to its process, and its pages are free
 again when that ends. A forked child has no handles.

 # Safety
 `handle` is valid, and *handle NULL or a handle.
 */
int pflush_add(struct pflush_handle **handle,
               flac_addr addr,
               size_t size);

/*
 Makes the handle's pages and the changes of the metalog durable, in one step: after a crash either all of it is there or nothing. *handle becomes NULL, in any
 case. With *handle NULL the changes alone are made. fs_metalog may be NULL.

 Returns 0, or: -EINVAL: handle is NULL, an empty key, a handle from before fork(); -E2BIG: a key or a value is too long; -EFBIG: more than the pool's log takes at once
 (some thousand pages in a small pool; add fewer); -ENOSPC, -EIO: the medium failed; -ENXIO: no init_flac. Nothing was committed then, and the pages are uncommitted as
 before; only if the very last step, the flush of the log, failed, others see the commit already and a crash decides.

 Durability: when this returns 0, pages and records survive a power cut. Commits survive in the order in which they were made: a later one is never
 there without an earlier one. Threads and processes: any number at a time; those that wait for the medium at the same time share one flush.

 # Safety
 `handle` is valid, *handle NULL or a handle; the metalog's pointers are valid.
 */
int pflush_commit(struct pflush_handle **handle,
                  const struct flac_metalog *fs_metalog);

/*
 Gives the handle's pages back: they are uncommitted as before. *handle becomes NULL. NULL is ignored.

 # Safety
 `handle` is NULL or valid, *handle NULL or a handle.
 */
void pflush_cancel(struct pflush_handle **handle);

/*
 Frees the pages of `size` bytes from `addr` on, both multiples of 4096, committed or not, and makes the changes of the metalog, durably and in one step. The range
 reads as zeros; memory that its pages were attached to keeps them. fs_metalog may be NULL.

 Returns 0, or the errors of pflush_add and pflush_commit; nothing was freed then. Needs no room in the pool. Threads and processes: any number at a time.

 # Safety
 The metalog's pointers are valid.
 */
int pfree(flac_addr addr,
          size_t size,
          const struct flac_metalog *fs_metalog);

/*
 Maps the pages of `size` bytes from the address `from_addr` of the space on at `to_addr`, in place of what is mapped there; all three are multiples of 4096. Copy-on-write
 on both sides. Short runs of pages (below 64 KiB) are copied. `pmode`: FLAC_READ or FLAC_COPY_ON_WRITE. munmap() ends it.

 Returns 0, or: -EINVAL: not aligned, size 0, beyond FLAC_SPAN, another pmode; -ENOMEM: too many mappings, or the cache is full of uncommitted pages; -EIO; -ENXIO:
 no init_flac. After an error nothing is mapped at to_addr. Durability: changes nothing. Threads and processes: as zcopy_from_flac.

 # Safety
 `size` bytes at to_addr are the caller's to replace, as for mmap() with MAP_FIXED.
 */
int flac_attach(void *to_addr,
                flac_addr from_addr,
                size_t size,
                int pmode);

/*
 Leaves the space: what is uncommitted goes if nobody else has it open. exit() does the same. No handle may be left, and no other thread may be in
 a call. The process can't open a space again. Returns 0, or -ENXIO: no init_flac.
 */
int exit_flac(void);

/*
 What went wrong in the last call of this thread that failed with -EIO, for people; an empty string if none did. Valid until this thread's next call.
 */
const char *flac_error(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FLAC_H */
