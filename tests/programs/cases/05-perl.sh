# perl: in-place edits, directories, stat, sysopen, seek, locks, File::* modules.
# needs: perl
seq 10 >n
perl -pi -e 's/1/one/' n
cat n
perl -pi.bak -ne 's/2/two/' n
ls n*
perl -ne 'print if /o/' n
perl -lne 'END {print $.}' n
perl -i -ne 'print unless $. == 1' n
wc -l n
perl -0777 -ne 'print length' n
echo
perl -e 'while (<>) { print "$ARGV:$.:$_" if eof }' n n.bak
cat >t.pl <<'END'
use strict; use warnings; use Fcntl qw(:DEFAULT :flock :seek :mode); use File::Path qw(make_path remove_tree); use File::Copy; use File::Temp qw(tempfile tempdir); use File::Find; use Cwd;
make_path("d/e/f"); open(my $f, '>', "d/x") or die $!; print $f "hello\nworld\n"; close $f;
open($f, '+<', "d/x") or die; my $l = <$f>; seek($f, 0, SEEK_SET); print $f "HELLO"; seek($f, 0, SEEK_END); print $f "end\n"; print tell($f), "\n"; truncate($f, 10); close $f;
open($f, '<', "d/x"); print <$f>; print "\n"; print eof($f) ? "eof\n" : "more\n"; close $f;
open($f, '>>', "d/x"); print $f "app"; close $f; print -s "d/x", "\n"; my @s = stat("d/x"); print scalar(@s), " ", S_ISREG($s[2]) ? "reg" : "other", " $s[3] $s[7]\n";
sysopen(my $g, "d/s", O_RDWR | O_CREAT | O_EXCL, 0600) or die; syswrite($g, "sysdata", 3, 2); sysseek($g, 1, SEEK_SET); sysread($g, my $b, 10); print "$b\n"; print sysopen(my $h, "d/s", O_RDWR | O_CREAT | O_EXCL) ? "again" : "exists: " . ($!{EEXIST} ? 1 : 0), "\n"; printf "%o\n", (stat $g)[2]; flock($g, LOCK_EX) or die; close $g;
opendir(my $d, "d") or die; my @n = sort readdir $d; print "@n\n"; rewinddir $d; my $count = () = readdir $d; print "$count\n"; closedir $d; print join(" ", sort glob("d/* *.pl")), "\n";
mkdir "m", 0700; printf "%o\n", (stat "m")[2]; rmdir "m"; print -e "m" ? "there" : "gone", "\n"; rename "d/x", "d/y"; link "d/y", "d/z"; symlink "y", "d/l"; print readlink("d/l"), " ", (lstat "d/l")[7], "\n"; chmod 0640, "d/y"; utime 1000000000, 1000000001, "d/y"; print join(" ", (stat "d/z")[2, 3, 8, 9]), "\n"; print -d "d", -f "d/y", -l "d/l", -r "d/y", -w _, (-x _ ? 1 : 0), -z "d/y" ? 1 : 0, "\n";
copy("d/y", "d/c") or die; move("d/c", "d/c2") or die; my @found; find(sub { push @found, $File::Find::name }, "d"); print join(" ", sort @found), "\n"; my ($tf, $tn) = tempfile(DIR => "d"); print $tf "tmp"; close $tf; print -s $tn, "\n"; unlink $tn; my $td = tempdir(CLEANUP => 1); print -d $td ? "dir\n" : "no\n"; chdir "d"; print getcwd() =~ m{/case/d$} ? "cwd\n" : getcwd(); chdir "..";
my $pid = open(my $p, '-|', "cat d/y"); print <$p>, "\n"; close $p; open($p, '|-', "cat >d/pipe"); print $p "through\n"; close $p; print `cat d/pipe`; open(my $save, '>&', \*STDOUT); open(STDOUT, '>', "d/out"); print "captured\n"; system("echo system"); close STDOUT; open(STDOUT, '>&', $save); open($f, '<', "d/out"); print sort <$f>; unless (my $k = fork) { open($f, '>>', "d/out"); print $f "child\n"; close $f; exec("true"); } wait; print -s "d/out", "\n";
open($f, '+>', undef); print $f "anon"; seek($f, 0, 0); print <$f>, "\n"; { local @ARGV = ("d/y"); local $^I = ""; while (<>) { tr/a-z/A-Z/; print } } print `cat d/y`, "\n"; { local $/ = \3; open($f, '<', "d/out"); print scalar <$f>, "\n"; } open($f, '<:raw', "d/y"); binmode $f; print ord(getc $f), "\n"; select((select($f), $| = 1)[0]); open($f, '>:utf8', "d/u"); print $f "\x{263a}"; close $f; print -s "d/u", "\n"; print open($f, '<', "d/none") ? "" : "no: " . ($! + 0), "\n"; remove_tree("d/e"); print unlink(glob "d/*"), "\n"; print rmdir("d") ? 1 : 0, "\n"; print STDERR "err\n"; my @big = map { "$_\n" } 1 .. 50000; open($f, '>', "big"); print $f @big; close $f; open($f, '<', "big"); my $sum = 0; $sum += $_ while <$f>; print "$sum\n"; print "done\n"; exit 3;
END
perl t.pl
echo $?
perl -MPOSIX -e 'my $fd = POSIX::open("px", O_CREAT | O_RDWR, 0644); POSIX::write($fd, "abc", 3); POSIX::lseek($fd, 0, 0); POSIX::read($fd, my $b, 9); print "$b\n"; my ($r, $w) = POSIX::pipe(); POSIX::dup2($fd, 1); print "into the file\n"'
cat px
perl -e 'use IO::File; my $f = IO::File->new("iof", "w+"); $f->print("x" x 5); $f->seek(0, 0); print $f->getline, "\n"; $f->ungetc(65); print $f->getc, "\n"'
perl -MDB_File -e 1 2>/dev/null; perl -MSDBM_File -MFcntl -e 'tie my %h, "SDBM_File", "sd", O_RDWR | O_CREAT, 0644; $h{$_} = $_ * 2 for 1 .. 100; untie %h; tie %h, "SDBM_File", "sd", O_RDONLY, 0644; print scalar(keys %h), " $h{50}\n"'
perl -MStorable -e 'store({a => [1 .. 10]}, "st"); print retrieve("st")->{a}[9], "\n"'
rm -f sd.* st
# A script in FLAC is run by its interpreter, which is who it is to itself.
printf '#!/usr/bin/perl\nprint "$^X\\n", readlink("/proc/self/exe"), "\\n"' >interpreter
chmod +x interpreter
./interpreter
