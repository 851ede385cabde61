# vim and ed edit files in place, with swap and backup files beside them; bc and dc read programs.
# needs: vim bc
# digest-skip: *.viminfo
seq 20 >f
vim -Nu NONE -es +'%s/1/X/g' +wq f </dev/null
head -3 f
vim -Nu NONE -es --cmd 'set backup backupskip= backupext=.old nofixeol' +'5,10d' +'$put =\"added\"' +'w' +'w copy' +'q' f </dev/null
ls -A
wc -l f f.old copy
chmod 600 f
ln f hard
vim -Nu NONE -es +'1d' +'wq' f </dev/null
stat -c '%a %h' f hard
vim -Nu NONE -es --cmd 'set backupcopy=no backup backupskip=' +'1d' +'wq' copy </dev/null
wc -l copy
ln -s f sym
vim -Nu NONE -es +'$d' +wq sym </dev/null
ls -F sym f
vim -Nu NONE -es +'r !echo from shell' +'r hard' +'w! joined' +'q!' </dev/null
wc -l joined
vim -Nu NONE -es +'args f hard' +'argdo %s/X/Y/e | update' +qa </dev/null
cat f
vim -Nu NONE -es --cmd 'set undofile undodir=.' +'1d' +'wq' copy </dev/null
ls -A | sed 's/%.*%/%/g'
rm -f .*un~ *%*
vim -Nu NONE -es +'wq' newfile </dev/null
ls newfile
vim -Nu NONE -es +'%s/a/b/' +'w missing/dir' +'q!' f </dev/null
echo $?
seq 200000 >big
vim -Nu NONE -es +'g/7/d' +'wq' big </dev/null
sha256sum big
printf 'a\nb' >noeol
vim -Nu NONE -es --cmd 'set nofixeol' +'s/a/c/' +wq noeol </dev/null
od -c noeol
vim -Nu NONE -es +'w ++enc=utf-16 u16' +q noeol </dev/null
od -c u16 | head -2
vim -Nu NONE -Z -es +q f </dev/null
echo $?
command -v ed >/dev/null && printf '1d\nw\nq\n' | ed -s f && head -1 f
ex -Nu NONE -s f <<'END'
1i
inserted
.
x
END
head -1 f
echo 'scale=20; 4*a(1)' | bc -l
echo 'define f(n) { if (n < 2) return 1; return n * f(n - 1); } f(20)' >fact.bc
bc fact.bc </dev/null
bc <fact.bc >out
cat out
command -v dc >/dev/null && echo '2 3 + p' | dc
ls -A | sort
