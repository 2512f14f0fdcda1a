insert into t select id+10, h,g,gg,ci,lt,m,mo,p,b,l,pa,po,c,li,o,n,tt,ch,x,a,am,v,b1,n52,nn,d,t,ts,tsz,i,tv,ba,df,dt from t;
delete from t where id=1;
