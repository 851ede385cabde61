# git with 10,000 objects and more: add, gc, clone, checkout and fsck.
# needs: git
# limit: 480
export GIT_AUTHOR_DATE='2001-02-03T04:05:06Z' GIT_COMMITTER_DATE='2001-02-03T04:05:06Z' GIT_CONFIG_NOSYSTEM=1
git config --global user.name U
git config --global user.email u@example.org
git config --global init.defaultBranch main
git config --global gc.auto 0
git init -q r
cd r
for d in $(seq 100); do
    mkdir d$d
    for f in $(seq 100); do echo "$d $f $((d * f))" >d$d/f$f; done
done
git add .
git commit -qm all
git count-objects
git gc -q
git count-objects
git fsck --full
cd ..
git clone -q file://$PWD/r c
diff -r -x .git r c && echo same
cd c
git rm -rq d1 d2 d3
git commit -qm removed
ls | wc -l
git checkout -q HEAD~1
ls | wc -l
git checkout -q main
git status --short
git log --stat --oneline | tail -1
git rev-parse HEAD HEAD^{tree}
head -c 3000000 /dev/zero | tr '\0' q >big
seq 300000 >text
git add .
git commit -qm big
git fsck
git cat-file -s HEAD:text
git show HEAD:text | tail -1
cd ..
rm -rf r c
