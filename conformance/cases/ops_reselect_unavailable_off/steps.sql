begin;
update t set a = 2, z = null;
update t set y = 'y', z = 'z';
commit;
