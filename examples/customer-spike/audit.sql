-- For `verify` alone: a trigger on the copy that keeps each write, so that one that comes twice is seen.
CREATE TABLE public.applied (op text, id uuid, email text, status text, updated_at timestamptz);
CREATE FUNCTION public.keep_applied() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    INSERT INTO applied VALUES (TG_OP, OLD.id, OLD.email, OLD.status, OLD.updated_at);
  ELSE
    INSERT INTO applied VALUES (TG_OP, NEW.id, NEW.email, NEW.status, NEW.updated_at);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER keep_applied AFTER INSERT OR UPDATE OR DELETE ON public.customer FOR EACH ROW EXECUTE FUNCTION public.keep_applied();
